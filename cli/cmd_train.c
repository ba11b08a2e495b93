/* cmd_train.c - flywheel train: a policy from data. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/args.h"
#include "cli.h"
#include "train/loop.h"

static int tell(const fw_train_opts *o, const fw_train_result *r, bool json) {
    if (json) {
        return cli_json(json_pack("{s:I, s:I, s:i, s:f, s:f, s:f, s:o, s:s}", "steps", (json_int_t)r->steps, "batch",
                                  (json_int_t)r->batch, "ranks", fw_ranks_size(o->ranks), "seconds", r->seconds,
                                  "samples_per_s", r->samples_per_s, "loss", r->loss, "held_out",
                                  isfinite(r->held_out) ? json_real(r->held_out) : json_null(), "out", o->out));
    }
    printf("%s: %lld steps of %lld in %.1f minutes (%.0f samples/s), loss %.4f", o->out, (long long)r->steps,
           (long long)r->batch, r->seconds / 60, r->samples_per_s, r->loss);
    printf(isfinite(r->held_out) ? ", held out %.4f\n" : "\n", r->held_out);
    return 0;
}

int cmd_train(int argc, char **argv) {
    fw_train_opts o = {.seed = -1};
    fw_arg_list data = {0}, cameras = {0};
    int64_t threads = 0, lora = 0;
    bool json = false;
    const fw_arg args[] = {
        FW_ARG_STR("config", &o.config, "FILE",
                   "what to train, and how (required unless --from is a published policy)"),
        FW_ARG_LIST("data", &data, "DIR", "LeRobot datasets (required)"),
        FW_ARG_STR("out", &o.out, "DIR", "folder of the policy (required)"),
        FW_ARG_STR("from", &o.from, "DIR",
                   "begin with the weights and statistics of this policy: ours, or a published one"),
        FW_ARG_BOOL("resume", &o.resume, "go on with the run that was stopped there"),
        FW_ARG_INT("steps", &o.steps, 0, 100000000, "N", "stop after N steps instead of where the config says"),
        FW_ARG_F64("minutes", &o.minutes, 0, 1000000, "M", "stop after M minutes of training instead"),
        FW_ARG_INT("batch", &o.batch, 0, 65536, "N", "rows of a step instead of the config's"),
        FW_ARG_INT("micro", &o.micro, 0, 65536, "N", "rows of one run of the network: a step sums up several (batch)"),
        FW_ARG_BOOL("gradient-checkpointing", &o.gradient_checkpointing,
                    "make layers again for their gradient: the same bits, less memory, at most one more forward pass"),
        FW_ARG_STR("precision", &o.precision, "P", "f32 or bf16 products instead of the config's; weights are f32"),
        FW_ARG_INT("lora", &lora, 0, 4096, "RANK", "published policies: train adapters of this rank, not the weights"),
        FW_ARG_BOOL("new-stats", &o.new_stats,
                    "published policies: normalise by these data's statistics, of whatever robot"),
        FW_ARG_BOOL("new-heads", &o.new_heads, "ACT: make layers of another robot's sizes anew"),
        FW_ARG_LIST(
            "camera", &cameras, "DATA=POLICY",
            "published policies: which picture a camera of the data is (`side=`: none, `side=+side`: one more)"),
        FW_ARG_INT("seed", &o.seed, -1, 9007199254740991, "S", "instead of the config's (-1)"),
        FW_ARG_INT("workers", &threads, 0, 1024, "N", "threads; 0: all CPUs"),
        FW_ARG_BOOL("json", &json, "one JSON object on stdout"),
    };
    const fw_usage usage = {
        .verb = "train",
        .example =
            "flywheel train --config configs/kitchen3.json --data out/k3 --out out/policy\n"
            "flywheel train --config configs/kitchen3.json --data out/k3 --out out/policy --minutes 10\n"
            "flywheel train --from smolvla_base --data out/k3 --out out/tuned --new-stats --steps 20000\n"
            "flywheel train --from smolvla_base --data out/k3 --out out/tuned --new-stats --camera front=camera1\n"
            "mpirun -n 2 --bind-to none flywheel train --config configs/kitchen3.json --data out/k3 --out out/policy",
        .what =
            "Train a policy from recorded or generated demonstrations, or train a published one further (SmolVLA, pi0, "
            "pi0.5, ACT: a LeRobot pretrained_model folder, and so is what comes out). Tower features are computed "
            "once and cached. "
            "<out>/train holds the log, the curves and the state that --resume reads.",
        .paths = NULL};
    int n_paths, code = fw_args_parse(&usage, args, sizeof args / sizeof(*args), argc, argv, &n_paths);
    if (code != FW_ARGS_GO) {
        return code;
    }
    if ((o.config == NULL && o.from == NULL) || o.out == NULL || data.n == 0) {
        fprintf(stderr, "flywheel train: wants --config FILE or --from DIR, --data DIR... and --out DIR; --help shows "
                        "an example\n");
        return 2;
    }
    for (int i = 0; i < cameras.n; i++) {
        if (strchr(cameras.item[i], '=') == NULL) {
            fprintf(stderr, "flywheel train: --camera '%s': wanted DATA=POLICY\n", cameras.item[i]);
            return 2;
        }
    }
    o.dirs = data.item;
    o.n_dirs = data.n;
    o.cameras = cameras.item;
    o.n_cameras = cameras.n;
    o.threads = (int)threads;
    o.lora = (int)lora;
    fw_err err = {0};
    fw_train_result r = {0};
    fw_status s = fw_ranks_open(&o.ranks, &err);
    s = s == FW_OK ? fw_train(&o, &r, &err) : s;
    code = s == FW_OK ? 0 : 1;
    if (fw_ranks_tells(o.ranks, s, &err)) {
        code = s == FW_OK ? tell(&o, &r, json) : cli_fail(&err);
    }
    fw_ranks_close(o.ranks, s);
    return code;
}
