/* bench_sim.c - the kitchen's speed on one core: physics, pictures, resets, whole expert episodes. Times are of this process's CPU. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "sim/sim.h"
#include "task/demo.h"
#include "task/setting_kitchen.h"

enum { SUB_STEPS = 50, PX = 128 };

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(fw_status st, const fw_err *err) {
    if (st != FW_OK) {
        fprintf(stderr, "bench_sim: %s\n", err->msg);
        exit(1);
    }
}

static void bench_sim(void) {
    static uint8_t rgb[PX * PX * 3];
    fw_err err;
    fw_sim *s = NULL;
    double t = cpu_s();
    must(fw_sim_open(fw_home(), &setting_kitchen, "panda_kitchen", &(fw_sim_opts){.render = true, .max_px = PX}, &s,
                     &err),
         &err);
    printf("open                %8.2f s\n", cpu_s() - t);
    t = cpu_s();
    for (uint64_t i = 0; i < 20; i++) {
        fw_seeds seeds = fw_seeds_all(i);
        must(fw_sim_reset(s, &seeds, &err), &err);
    }
    printf("reset and settle    %8.1f ms\n", 1e3 * (cpu_s() - t) / 20);
    t = cpu_s();
    for (int i = 0; i < 200; i++) {
        float a[5] = {i % 40 < 20 ? 0.01f : -0.01f, 0.005f, 0, 0, 1};
        must(fw_sim_step(s, a, &err), &err);
    }
    printf("physics             %8.0f steps/s of 2 ms\n", 200 * SUB_STEPS / (cpu_s() - t));
    t = cpu_s();
    for (int i = 0; i < 400; i++) {
        must(fw_sim_render(s, i % 2 ? "wrist" : "front", PX, PX, rgb, &err), &err);
    }
    printf("pictures            %8.0f /s of %dx%d\n", 400 / (cpu_s() - t), PX, PX);
    fw_sim_close(s);
}

static void bench_demos(void) {
    fw_err err;
    fw_env *env = NULL;
    fw_demo *d = NULL;
    enum { N = 30 };
    int ok = 0, frames = 0;
    must(fw_env_open("kitchen3", NULL, &env, &err), &err);
    must(fw_demo_new(env, &d, &err), &err);
    double t = cpu_s();
    for (int i = 0; i < N; i++) {
        fw_seeds seeds = fw_seeds_all(7000 + (uint64_t)i);
        must(fw_demo_record(env, i % fw_env_n_task(env), &seeds, NULL, d, &err), &err);
        ok += d->success;
        frames += d->length;
    }
    t = cpu_s() - t;
    printf("demonstrations      %8.0f /hour, %d of %d kept, %.0f frames each, video not encoded\n", 3600 * ok / t, ok,
           N, (double)frames / N);
    fw_demo_free(d);
    fw_env_close(env);
}

int main(void) {
    bench_sim();
    bench_demos();
    return 0;
}
