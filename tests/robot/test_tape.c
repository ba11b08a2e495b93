/* Frames on their way to the recorder: everything, or what led to an incident; marks; a full disk. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "data/dataset.h"
#include "fw_test.h"
#include "robot/tape.h"

enum { SIDE = 32 };
static fw_err err;
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        if ((call) != FW_OK)                                                                                           \
            FW_FAILED("%s: %s", #call, err.msg);                                                                       \
    } while (0)

static const fw_embodiment robot = {.name = "plant",
                                    .rate_hz = 10,
                                    .n_state = 2,
                                    .n_action = 1,
                                    .state = {{.name = "a"}, {.name = "b"}},
                                    .action = {{.name = "x"}}};
static const fw_camera camera = {"front", SIDE, SIDE};

static const char *folder(void) {
    static char path[256];
    static int n;
    snprintf(path, sizeof path, "%s/fw_tape_%d_%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid(),
             n++);
    OK(fw_remove_tree(path, &err));
    return path;
}

static fw_tape *tape(const char *dir, fw_tape_keep keep, double ring_s) {
    fw_tape *t;
    fw_tape_opts o = {.dir = dir,
                      .embodiment = &robot,
                      .n_camera = 1,
                      .camera = &camera,
                      .keep = keep,
                      .ring_s = ring_s,
                      .provenance = FW_PROVENANCE_UNKNOWN};
    o.provenance.source = FW_SOURCE_AUTONOMOUS;
    o.provenance.home = "home-7";
    OK(fw_tape_open(&o, &t, &err));
    return t;
}

static void frames(fw_tape *t, const char *sentence, int from, int n, bool touched) {
    static uint8_t rgb[SIDE * SIDE * 3];
    for (int i = from; i < from + n; i++) {
        const float state[2] = {(float)i, 1}, action[1] = {0.5f * (float)i};
        memset(rgb, i % 200, sizeof rgb);
        OK(fw_tape_frame(t, sentence,
                         &(fw_frame){.state = state, .action = action, .images = {rgb}, .intervention = touched},
                         &err));
        for (int k = 0; k < 3; k++) { /* ticks; the recorder's threads get a moment */
            fw_tape_turn(t);
            usleep(300);
        }
    }
}

static void everything_is_kept_with_what_was_said_of_it(void) {
    const char *dir = folder();
    fw_tape *t = tape(dir, FW_TAPE_ALL, 2);
    fw_tape_state s;
    frames(t, "mug", 0, 20, false);
    frames(t, "mug", 20, 5, true);
    fw_tape_get(t, &s);
    CHECK(s.within && s.frames == 25 && s.touched == 5);
    fw_tape_end(t, 1);
    fw_tape_end(t, 0); /* there is none */
    frames(t, "plate", 0, 12, false);
    OK(fw_tape_close(t, &err)); /* ends it */
    fw_dataset *ds;
    fw_episode_marks m;
    OK(fw_dataset_open(dir, &ds, &err));
    CHECK_INT(ds->n_episodes, 2);
    CHECK_INT(ds->episodes[0].length, 25);
    CHECK_INT(ds->episodes[1].length, 12);
    const fw_provenance p = fw_dataset_provenance(ds, 0);
    CHECK(p.source == FW_SOURCE_INTERVENTION && p.success == 1 && strcmp(p.home, "home-7") == 0);
    CHECK(fw_dataset_provenance(ds, 1).source == FW_SOURCE_AUTONOMOUS && fw_dataset_provenance(ds, 1).success == -1);
    OK(fw_dataset_read_marks(ds, 0, &m, &err));
    CHECK(!m.m.intervention[19] && m.m.intervention[20] && m.m.intervention[24]);
    fw_episode_marks_clear(&m);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, &err));
}

/* 8 s of memory: of a long episode in which something happens at frame 150, frames from 70 on are kept, and all that follow. */
static void of_incidents_what_led_there_is_kept(void) {
    const char *dir = folder();
    fw_tape *t = tape(dir, FW_TAPE_INCIDENTS, 8);
    frames(t, "nothing happens", 0, 120, false);
    fw_tape_end(t, -1);
    frames(t, "something happens", 0, 150, false);
    fw_tape_incident(t);
    frames(t, "something happens", 150, 30, true);
    fw_tape_end(t, 0);
    frames(t, "nothing again", 0, 100, false);
    OK(fw_tape_close(t, &err));
    fw_dataset *ds;
    fw_episode e;
    OK(fw_dataset_open(dir, &ds, &err));
    CHECK_INT(ds->n_episodes, 1);
    OK(fw_dataset_read_episode(ds, 0, &e, &err));
    CHECK(e.length >= 80 + 30 && e.length <= 82 + 30);
    for (int64_t i = 0; i < e.length; i++) {
        CHECK(e.state[2 * i] == (float)(180 - e.length + i));
    }
    fw_episode_clear(&e);
    CHECK_INT(fw_dataset_provenance(ds, 0).success, 0);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, &err));
}

static void a_mark_names_its_place(void) {
    const char *dir = folder(), *text;
    char path[512];
    fw_tape *t = tape(dir, FW_TAPE_ALL, 2);
    fw_tape_place at, other;
    frames(t, "mug", 0, 9, false);
    fw_tape_here(t, &at);
    OK(fw_tape_mark(t, &at, "wrong", "it \"slipped\"", 7, 30, &err));
    fw_tape_end(t, 0);
    fw_tape_here(t, &other); /* of the last one, as long as there is no other */
    CHECK(strcmp(at.recording, other.recording) == 0 && other.frame == 8);
    OK(fw_tape_close(t, &err));
    fw_dataset *ds;
    json_t *j;
    size_t n;
    char *line;
    OK(fw_dataset_open(dir, &ds, &err));
    CHECK(fw_dataset_field_text(ds, 0, "recording", &text) && strcmp(text, at.recording) == 0);
    fw_dataset_close(ds);
    snprintf(path, sizeof path, "%s/marks.jsonl", dir);
    OK(fw_file_read(path, 4096, &line, &n, &err));
    OK(fw_json_parse(line, n, path, &j, &err));
    CHECK_INT(json_integer_value(json_object_get(j, "frame")), 8);
    CHECK(strcmp(json_string_value(json_object_get(j, "note")), "it \"slipped\"") == 0);
    json_decref(j);
    free(line);
    OK(fw_remove_tree(dir, &err));
}

static void fill_disk(bool full) {
    struct rlimit r;
    CHECK(getrlimit(RLIMIT_FSIZE, &r) == 0);
    r.rlim_cur = full ? 1000 : r.rlim_max;
    CHECK(setrlimit(RLIMIT_FSIZE, &r) == 0);
}

/* The ring goes on where the recorder's queue ends; a mark that is not on the disk is not acknowledged. */
static void a_full_disk_is_told_and_nothing_is_lost_for_ring_seconds(void) {
    const char *dir = folder();
    fw_tape *t = tape(dir, FW_TAPE_ALL, 30);
    fw_tape_state s;
    fw_tape_place at;
    signal(SIGXFSZ, SIG_IGN);
    frames(t, "mug", 0, 3, false);
    fill_disk(true);
    for (int i = 0; i < 60; i++) {
        frames(t, "mug", 3 + i, 1, false);
    }
    fw_tape_get(t, &s);
    CHECK(s.late && s.recorder.last_error.code == FW_IO);
    fw_tape_here(t, &at);
    for (int i = 0; i < 20; i++) { /* until marks.jsonl, too, has reached its end */
        if (fw_tape_mark(t, &at, "bad", "", 1, 30, &err) != FW_OK) {
            break;
        }
    }
    CHECK(err.code == FW_IO && strstr(err.msg, "not on the disk") != NULL);
    fill_disk(false);
    fw_tape_end(t, 1);
    OK(fw_tape_close(t, &err));
    fw_dataset *ds;
    double dropped;
    OK(fw_dataset_open(dir, &ds, &err));
    CHECK_INT(ds->episodes[0].length, 63);
    CHECK(fw_dataset_field_number(ds, 0, "dropped_frames", &dropped) && dropped == 0);
    fw_dataset_close(ds);
    OK(fw_remove_tree(dir, &err));
}

FW_TEST_MAIN(T(everything_is_kept_with_what_was_said_of_it), T(of_incidents_what_led_there_is_kept),
             T(a_mark_names_its_place), T(a_full_disk_is_told_and_nothing_is_lost_for_ring_seconds))
