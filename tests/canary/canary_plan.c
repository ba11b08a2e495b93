/* must FAIL under AddressSanitizer: an operation whose backward reads an operand that it did not ask to keep */
#include <stdio.h>

#include "tensor/op_int.h"
#include "tensor/plan.h"

static fw_status copy_forward(const fw_step *s, fw_err *err) {
    (void)err;
    memcpy(s->y, s->x[0], 1024 * sizeof(float));
    return FW_OK;
}

static void careless_backward(const fw_step *s) {
    for (int i = 0; i < 1024; i++) {
        s->dx[0][i] = s->dy[i] * fw_x(s, 1)[60000 + i]; /* needs says: nothing. By now this memory is nobody's */
    }
}

static double no_flops(const fw_graph *g, const fw_node *n, unsigned want) {
    (void)g, (void)n, (void)want;
    return 0;
}

static const fw_op k_careless = {
    .name = "careless", .diff = 1, .forward = copy_forward, .backward = careless_backward, .flops = no_flops};

int main(void) {
    fw_params *params;
    fw_graph *g;
    fw_plan *plan;
    fw_err err = {0};
    if (fw_params_new(0, &params, &err) != FW_OK || fw_graph_new(params, &g, &err) != FW_OK) {
        return 1;
    }
    fw_val x = fw_scale(g, fw_param(g, "p", FW_SHAPE_OF(1024), (fw_init){FW_INIT_ONE, 0}), 2.0f);
    fw_val big = fw_scale(g, fw_input(g, "big", FW_F32, FW_SHAPE_OF(65536)), 2.0f);
    fw_val y = fw_graph_add(g, &(fw_node){.op = &k_careless, .n_in = 2, .in = {x, big}}, FW_SHAPE_OF(1024));
    fw_val loss = fw_mse_loss(g, y, fw_input(g, "t", FW_F32, FW_SHAPE_OF(1024)), FW_NONE);
    if (fw_plan_new(g, &(fw_plan_opts){.train = true}, &loss, 1, &plan, &err) != FW_OK ||
        fw_plan_run(plan, &err) != FW_OK) {
        return 1;
    }
    puts("not noticed");
    return 0;
}
