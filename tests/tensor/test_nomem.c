/*
 * test_nomem.c - an allocation fails, the n-th for n = 0 .. 199 and every 13th beyond: graphs, plans and files say FW_NOMEM
 * (or another error with a message), free what they had, and never crash.
 */
#include "nomem.h"

#include "base/file.h"
#include "tensor/plan.h"
#include "tensor/safetensors.h"

#define S    FW_SHAPE_OF
#define PATH "nomem_test.safetensors"

/* Everything there is to allocate in a training run. */
static fw_status once(const void *ctx, fw_err *err) {
    (void)ctx;
    fw_params *params = NULL;
    fw_graph *g = NULL;
    fw_plan *p = NULL;
    fw_status st = fw_params_new(1, &params, err);
    st = st != FW_OK ? st : fw_graph_new(params, &g, err);
    if (st != FW_OK) {
        goto done;
    }
    fw_val x = fw_input(g, "x", FW_F32, S(4, 6)), y = x;
    for (int i = 0; i < 24; i++) { /* more than the first size of each table */
        char w[16], b[16];
        snprintf(w, sizeof(w), "w%d", i);
        snprintf(b, sizeof(b), "b%d", i);
        y = fw_linear(g, y, w, b, 6, FW_ACT_GELU, i % 2 ? y : FW_NONE);
    }
    fw_val loss = fw_mse_loss(g, y, x, FW_NONE);
    st = fw_graph_check(g, err);
    st = st != FW_OK ? st : fw_plan_new(g, &(fw_plan_opts){.train = true}, &loss, 1, &p, err);
    st = st != FW_OK ? st : fw_plan_run(p, err);
    st = st != FW_OK ? st : fw_params_save(params, PATH, FW_F32, (const char *const[]){"a", "b", NULL}, err);
    st = st != FW_OK ? st : fw_params_load(params, PATH, false, err);
done:
    fw_plan_free(p);
    fw_graph_free(g);
    fw_params_free(params);
    return st;
}

static void every_allocation_may_fail(void) {
    fw_err err = {0};
    nomem_every_allocation(once, NULL, 13, 100);
    CHECK_INT(fw_remove_tree(PATH, &err), FW_OK);
}

FW_TEST_MAIN(T(every_allocation_may_fail))
