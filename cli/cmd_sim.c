/* cmd_sim.c - `flywheel sim`: the table of its verbs, and what they share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "sim.h"

json_t *sim_outcomes(const fw_closed_opts *o, const fw_closed_result *r) {
    json_t *outcomes = json_object(), *seeds = json_array();
    for (int k = 0; k < r->n_task; k++) {
        json_t *hits = json_array();
        for (int64_t i = 0; i < r->episodes; i++) {
            json_array_append_new(hits, json_integer(r->outcome[k * r->episodes + i].success));
        }
        json_object_set_new(outcomes, r->task[k].name, hits);
    }
    for (int64_t i = 0; i < r->episodes; i++) {
        json_array_append_new(seeds, json_integer((json_int_t)fw_closed_seed(o->seed, i)));
    }
    return json_pack("{s:o, s:o}", "outcomes", outcomes, "seeds", seeds);
}

fw_status sim_env_opts(const char *embodiment, const char *randomise, const char *homes, fw_env_opts *out,
                       fw_err *err) {
    *out = (fw_env_opts)FW_ENV_OPTS_DEFAULT;
    out->embodiment = embodiment;
    out->randomise = randomise;
    if (homes == NULL) {
        return FW_OK;
    }
    char *colon, *end = NULL;
    unsigned long long first = strtoull(homes, &colon, 10), count = *colon == ':' ? strtoull(colon + 1, &end, 10) : 0;
    if (homes[0] < '0' || homes[0] > '9' || *colon != ':' || end == NULL || *end != 0 || count < 1) {
        return fw_fail(err, FW_INVALID, "--homes %.40s: wanted FIRST:COUNT, as in 1000000:64", homes);
    }
    out->home_first = first;
    out->home_count = count;
    return FW_OK;
}

int cmd_sim(int argc, char **argv) {
    static const fw_verb verbs[] = {{"make", "demonstrations of a suite, as a dataset", sim_make},
                                    {"show", "a picture of a scene, or a video of the expert in it", sim_show},
                                    {"ranges", "what an episode may draw", sim_ranges}};
    return cli_dispatch("flywheel sim", "flywheel sim make --episodes 300 --seed 1 --out out/k3",
                        "the simulated kitchen", verbs, sizeof verbs / sizeof *verbs, argc, argv);
}
