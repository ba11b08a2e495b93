/* ctest: timeout=120
 * A damaged folder of each published policy, one fault at a time: a tensor that is missing, misshapen, of another type, not finite or too
 * many, a statistic, a tokenizer. Opening it fails with the name of the offender; only what no network reads may be missing. */
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "model/pretrained.h"
#include "policy_golden.h"

static char tmp[] = "/tmp/fw_bad_XXXXXX";
static fw_err g_err;

typedef enum fault { MISSING, MISSHAPEN, OTHER_TYPE, NOT_FINITE, TOO_MANY, N_FAULT } fault;
static const char *const k_fault[] = {"missing", "misshapen", "of another type", "not finite", "too many"};
static const char *const k_policy[] = {"act", "smolvla", "pi0", "pi05", "openpi_pi0", "openpi_pi05"};
enum { N_POLICY = sizeof k_policy / sizeof *k_policy };

static const char *folder(void) {
    if (strstr(tmp, "XXXXXX") != NULL) {
        CHECK(mkdtemp(tmp) != NULL);
    }
    return tmp;
}

static void copy_policy(const char *name) {
    char cmd[1200];
    snprintf(cmd, sizeof cmd, "rm -rf %s/* && cp -r " POLICIES "%s/* %s/ && rm -f %s/golden*", folder(), name, tmp,
             tmp);
    CHECK_INT(system(cmd), 0);
}

/* file of the folder again with a fault in its k-th tensor. */
static void write_with(const fw_st *st, const char *file, int k, fault f) {
    const int n = fw_st_count(st);
    fw_st_out *out = calloc((size_t)n + 1, sizeof *out);
    float **mem = calloc((size_t)n + 1, sizeof *mem);
    char path[600];
    int m = 0;
    CHECK(out != NULL && mem != NULL);
    for (int i = 0; i < n; i++) {
        const fw_st_tensor *t = fw_st_at(st, i);
        if (i == k && f == MISSING) {
            continue;
        }
        fw_shape shape = t->shape;
        shape.d[0] += i == k && f == MISSHAPEN;
        mem[m] = calloc((size_t)fw_shape_count(&shape), sizeof **mem);
        CHECK(mem[m] != NULL);
        CHECK_OK(fw_st_read_f32(st, t->name, &t->shape, mem[m], &g_err), g_err);
        if (i == k && f == NOT_FINITE) {
            mem[m][fw_shape_count(&shape) - 1] = NAN;
        }
        out[m] = (fw_st_out){t->name, i == k && f == OTHER_TYPE ? FW_I32 : t->dtype, shape, mem[m]};
        m++;
    }
    if (f == TOO_MANY) {
        out[m++] = (fw_st_out){"model.one_more.weight", FW_F32, FW_SHAPE_OF(1), mem[0]};
    }
    snprintf(path, sizeof path, "%s/%s", tmp, file);
    CHECK_OK(fw_st_write(path, out, m, NULL, &g_err), g_err);
    for (int i = 0; i < n; i++) {
        free(mem[i]);
    }
    free(mem), free(out);
}

static fw_status open_folder(void) {
    fw_policy *p = NULL;
    g_err.msg[0] = 0;
    const fw_status s = fw_policy_open(tmp, NULL, &p, &g_err);
    CHECK((s == FW_OK) == (p != NULL));
    fw_policy_close(p);
    return s;
}

/* Of a published file only these are read by no network of ours, or not of necessity: heads that nothing uses, pi0.s table of words, which
 * then is the head.s, the language model's end, whose keys and values
 * alone are looked at, and ACT's second encoder, which is for training. */
static bool is_spare(const char *name) {
    static const char *const parts[] = {"lm_head.",
                                        "vae_encoder",
                                        "text_model.norm.",
                                        "language_model.norm.",
                                        "language_model.embed_tokens.",
                                        "text_model.layers.3.",
                                        "language_model.layers.2."};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (strstr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* pi0's table of words lies under one of two names; the last language layer's keys and values are read. */
static bool is_read_anyway(const char *name) {
    return strstr(name, "self_attn.k_proj") != NULL || strstr(name, "self_attn.v_proj") != NULL ||
           strstr(name, "input_layernorm") != NULL || strstr(name, "paligemma.lm_head") != NULL;
}

static void every_tensor_is_looked_at(void) {
    for (int p = 0; p < N_POLICY; p++) {
        char path[600];
        fw_st *st;
        int refused = 0, spare = 0;
        copy_policy(k_policy[p]);
        snprintf(path, sizeof path, POLICIES "%s/model.safetensors", k_policy[p]);
        CHECK_OK(fw_st_open(path, &st, &g_err), g_err);
        for (int i = p; i < fw_st_count(st); i += 7) {
            const char *name = fw_st_at(st, i)->name;
            for (fault f = MISSING; f <= NOT_FINITE; f++) {
                write_with(st, "model.safetensors", i, f);
                const fw_status s = open_folder();
                if (s == FW_OK && is_spare(name)) {
                    spare++;
                } else if (s == FW_OK || (strstr(g_err.msg, name) == NULL && !is_read_anyway(name))) {
                    FW_FAILED("%s: tensor '%s' is %s, and: %s", k_policy[p], name, k_fault[f],
                              s == FW_OK ? "opens" : g_err.msg);
                } else {
                    refused++;
                }
            }
        }
        write_with(st, "model.safetensors", 0, TOO_MANY);
        CHECK(open_folder() == FW_SHAPE &&
              strstr(g_err.msg, "one_more.weight' [1] is not part of this network") != NULL);
        printf("# %s: %d refused, %d that nobody reads\n", k_policy[p], refused, spare);
        CHECK(refused > 3 * spare && refused >= 30);
        fw_st_close(st);
    }
}

/* Is this statistic read? MEAN_STD: mean and std, QUANTILES: q01 and q99; pictures are normalised in ACT alone. */
static bool is_needed(const char *policy, const char *file, const char *name) {
    const bool quantiles = strcmp(policy, "pi05") == 0, act = strcmp(policy, "act") == 0;
    const char *const stat = strrchr(name, '.') + 1;
    const bool kind = quantiles ? strcmp(stat, "q01") == 0 || strcmp(stat, "q99") == 0
                                : strcmp(stat, "mean") == 0 || strcmp(stat, "std") == 0;
    const bool mine = strstr(file, "postprocessor") == NULL || strncmp(name, "action.", 7) == 0;
    return kind && mine && (act || strstr(name, "images") == NULL);
}

static void every_statistic_that_is_read_is_looked_at(void) {
    static const char *const files[4][2] = {{"policy_preprocessor_step_3_normalizer_processor.safetensors",
                                             "policy_postprocessor_step_0_unnormalizer_processor.safetensors"},
                                            {"policy_preprocessor_step_5_normalizer_processor.safetensors",
                                             "policy_postprocessor_step_0_unnormalizer_processor.safetensors"},
                                            {"policy_preprocessor_step_6_normalizer_processor.safetensors",
                                             "policy_postprocessor_step_0_unnormalizer_processor.safetensors"},
                                            {"policy_preprocessor_step_3_normalizer_processor.safetensors",
                                             "policy_postprocessor_step_0_unnormalizer_processor.safetensors"}};
    for (int p = 0; p < 4; p++) {
        int refused = 0;
        for (int k = 0; k < 2; k++) {
            char path[600];
            fw_st *st;
            copy_policy(k_policy[p]);
            snprintf(path, sizeof path, POLICIES "%s/%s", k_policy[p], files[p][k]);
            CHECK_OK(fw_st_open(path, &st, &g_err), g_err);
            for (int i = 0; i < fw_st_count(st); i++) {
                const char *name = fw_st_at(st, i)->name;
                for (fault f = MISSING; f <= NOT_FINITE && is_needed(k_policy[p], files[p][k], name); f++) {
                    write_with(st, files[p][k], i, f);
                    if (open_folder() == FW_OK || strstr(g_err.msg, name) == NULL) {
                        FW_FAILED("%s: '%s' is %s, and: %s", k_policy[p], name, k_fault[f],
                                  g_err.msg[0] ? g_err.msg : "opens");
                    }
                    refused++;
                }
            }
            fw_st_close(st);
        }
        printf("# %s: %d refused\n", k_policy[p], refused);
        CHECK(refused >= 24);
    }
}

/* pi0 whose every prompt begins with "<start>", 9000. */
static void begin_prompts_beyond(void) {
    char path[600];
    json_t *j = NULL;
    copy_policy("pi0");
    snprintf(path, sizeof path, "%s/tokenizer.json", tmp);
    CHECK_OK(fw_json_load(path, &j, &g_err), g_err);
    json_array_append_new(json_object_get(j, "added_tokens"),
                          json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", 9000, "content", "<start>",
                                    "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    json_object_set_new(j, "post_processor", json_null());
    CHECK_OK(fw_json_save(path, j, 2, &g_err), g_err);
    json_decref(j);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", tmp);
    j = json_pack("{s:s, s:b}", "bos_token", "<start>", "add_bos_token", 1);
    CHECK_OK(fw_json_save(path, j, 2, &g_err), g_err);
    json_decref(j);
}

/* A tokenizer of another policy, and one whose token before every prompt lies beyond the table. */
static void a_tokenizer_that_does_not_fit_is_refused(void) {
    char cmd[1400];
    copy_policy("pi0");
    snprintf(cmd, sizeof cmd, "cp " GOLDEN "tokenizers/gemma/* %s/", tmp);
    CHECK_INT(system(cmd), 0);
    const fw_status s = open_folder();
    printf("# %s\n", g_err.msg);
    CHECK(s == FW_FORMAT && strstr(g_err.msg, "pieces, the policy knows") != NULL);
    begin_prompts_beyond();
    CHECK(open_folder() == FW_FORMAT);
    printf("# %s\n", g_err.msg);
    CHECK(strstr(g_err.msg, "every prompt has token 9000, the policy knows 376") != NULL);
    copy_policy("pi0"); /* what fills prompts up */
    snprintf(cmd, sizeof cmd,
             "sed -i 's/\"added_tokens\": \\[/&{\"id\": 9000, \"content\": \"<fill>\", \"special\": true},/' "
             "%s/tokenizer.json && "
             "sed -i 's/\"pad_token\": \"<pad>\"/\"pad_token\": \"<fill>\"/' %s/tokenizer_config.json",
             tmp, tmp);
    CHECK_INT(system(cmd), 0);
    CHECK(open_folder() == FW_FORMAT);
    printf("# %s\n", g_err.msg);
    CHECK(strstr(g_err.msg, "prompts are filled up with token 9000, the policy knows 376") != NULL);
    copy_policy("pi0");
    snprintf(cmd, sizeof cmd, "rm %s/tokenizer*", tmp);
    CHECK_INT(system(cmd), 0);
    CHECK(setenv("HF_HOME", tmp, 1) == 0);
    CHECK(open_folder() == FW_IO && strstr(g_err.msg, "no tokenizer: put tokenizer.json of") != NULL);
    copy_policy("pi0");
    snprintf(cmd, sizeof cmd, "sed -i 's/pi0_new_line_processor/make_it_rhyme_processor/' %s/policy_preprocessor.json",
             tmp);
    CHECK_INT(system(cmd), 0);
    CHECK(open_folder() == FW_FORMAT &&
          strstr(g_err.msg, "step 2 'make_it_rhyme_processor' is not implemented") != NULL);
    CHECK_OK(fw_remove_tree(tmp, &g_err), g_err);
}

FW_TEST_MAIN(T(every_tensor_is_looked_at), T(every_statistic_that_is_read_is_looked_at),
             T(a_tokenizer_that_does_not_fit_is_refused))
