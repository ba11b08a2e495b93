/* Expressions and lists that choose episodes (select.h), over a dataset of three: positions in order, each once, or a refusal. */
#include <stdint.h>

#include "data/loader.h"
#include "data/select.h"
#include "scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char info[] =
    "{\"codebase_version\": \"v2.1\", \"fps\": 10, \"robot_type\": \"panda\", \"total_episodes\": 3, \"total_frames\": "
    "60, "
    "\"total_tasks\": 2, \"chunks_size\": 1000, \"data_path\": "
    "\"data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet\", \"video_path\": null, \"features\": "
    "{\"observation.state\": {\"dtype\": \"float32\", \"shape\": [2], \"names\": null}}}";
static const char tasks[] =
    "{\"task_index\": 0, \"task\": \"fold the towel\"}\n{\"task_index\": 1, \"task\": \"open it\"}\n";
static const char episodes[] =
    "{\"episode_index\": 0, \"tasks\": [\"fold the towel\"], \"length\": 10, \"provenance/source\": \"teleop\", "
    "\"provenance/home\": \"h17\", \"provenance/quality\": 0.5, \"provenance/success\": 1, \"provenance/seed\": "
    "9007199254740993}\n"
    "{\"episode_index\": 1, \"tasks\": [\"open it\", \"fold the towel\"], \"length\": 20, \"provenance/source\": "
    "\"expert\", "
    "\"provenance/home\": \"\", \"provenance/quality\": null, \"provenance/success\": 0, \"provenance/seed\": 2}\n"
    "{\"episode_index\": 2, \"tasks\": [\"open it\"], \"length\": 30, \"provenance/source\": \"\", "
    "\"provenance/home\": "
    "\"h2\", \"provenance/quality\": 1.0, \"provenance/success\": -1, \"provenance/seed\": 3}\n";

static fw_dataset *dataset(void) {
    static fw_dataset *ds;
    char dir[256];
    fw_err err;
    if (ds == NULL) {
        scratch_put("ds/meta/info.json", info, strlen(info));
        scratch_put("ds/meta/tasks.jsonl", tasks, strlen(tasks));
        scratch_put("ds/meta/episodes.jsonl", episodes, strlen(episodes));
        snprintf(dir, sizeof dir, "%s/ds", scratch());
        if (fw_dataset_open(dir, &ds, &err) != FW_OK) {
            fprintf(stderr, "%s\n", err.msg);
            abort();
        }
    }
    return ds;
}

static void ascending(fw_status st, int64_t *list, int64_t n, const fw_err *err) {
    scratch_refused(st, err);
    if (st == FW_OK) {
        for (int64_t i = 0; i < n; i++) {
            if (list[i] < 0 || list[i] > 2 || (i > 0 && list[i] <= list[i - 1])) {
                abort();
            }
        }
        free(list);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    int64_t *list = NULL, n = 0;
    fw_err err;
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    ascending(fw_select_where(dataset(), text, &list, &n, &err), list, n, &err);
    ascending(fw_select_list(dataset(), text, &list, &n, &err), list, n, &err);
    ascending(fw_episode_list(text, NULL, 3, &list, &n, &err), list, n, &err);
    ascending(fw_episode_list(NULL, text, 3, &list, &n, &err), list, n, &err);
    free(text);
    return 0;
}
