/* ctest: timeout=120
 * test_grad.c - every backward against finite differences, table-driven: `tensor_grad [NAME]` runs one case.
 *
 * Each case builds out = f(parameters, inputs). The loss is mean((out - t)^2) with a random t. The plan's gradient of every
 * parameter element (at most 40 a parameter) must agree with (8 (L(+h) - L(-h)) - (L(+2h) - L(-2h))) / 12h, with L computed in
 * double from the outputs of an inference plan. So the rounding of single precision in the outputs is all the noise there is:
 * about 1e-7 * |out| / h. Where two step sizes disagree (the kink of a relu lies between), the element is left out: at most
 * 15 % of a case.
 */
#include "base/rng.h"
#include "fw_test.h"
#include "tensor/plan.h"

#define MAX_CHECKED 40

static fw_rng g_rng;

static float normal(float scale) {
    return scale * (float)fw_rng_normal(&g_rng);
}

/* A parameter stands for x wherever the gradient towards x is tested. */
static fw_val var(fw_graph *g, const char *name, fw_shape s) {
    return fw_param(g, name, s, (fw_init){FW_INIT_NORMAL, 1.0f});
}
#define S FW_SHAPE_OF

typedef struct gcase {
    const char *name;
    fw_val (*build)(fw_graph *g);
    double tol; /* relative to 0.1 + the gradient; 0: 2e-4. Deeper networks carry more rounding */
} gcase;

#include "grad_cases.h"

typedef struct env {
    fw_params *params;
    fw_graph *g;
    fw_val out, target;
    fw_plan *infer, *train;
    float *t; /* [n] */
    int64_t n;
    fw_err err;
} env;

static void must(fw_status st, const env *e, const char *name) {
    if (st != FW_OK)
        FW_FAILED("%s: %s", name, e->err.msg);
}

static double loss_of(env *e, const char *name) {
    fw_plan_repack(e->infer);
    must(fw_plan_run(e->infer, &e->err), e, name);
    const float *y = fw_plan_data(e->infer, e->out);
    double sum = 0;
    for (int64_t i = 0; i < e->n; i++) {
        double d = (double)y[i] - (double)e->t[i];
        sum += d * d;
    }
    return sum / (double)e->n;
}

static double difference(env *e, float *p, float h, const char *name) {
    const float at = *p;
    double l[4];
    const float by[4] = {h, -h, 2 * h, -2 * h};
    volatile float x1 = at + h, x0 = at - h; /* the step that float really takes */
    for (int i = 0; i < 4; i++) {
        *p = at + by[i];
        l[i] = loss_of(e, name);
    }
    *p = at;
    return (8 * (l[0] - l[1]) - (l[2] - l[3])) / (6 * ((double)x1 - (double)x0));
}

static void fill_inputs(env *e) {
    for (fw_val v = 0; v < 16; v++) { /* ids and lengths set themselves: see k_ints */
        int32_t *x = fw_plan_data(e->infer, v), *y = fw_plan_data(e->train, v);
        for (int i = 0; g_ints != NULL && v == g_int_val && i < g_n_ints; i++) {
            CHECK(x != NULL && y != NULL);
            x[i] = y[i] = g_ints[i];
        }
    }
}

static void check_case(const gcase *c) {
    env e = {0};
    g_ints = NULL;
    g_rng = fw_rng_stream(7, c->name);
    must(fw_params_new(7, &e.params, &e.err), &e, c->name);
    must(fw_graph_new(e.params, &e.g, &e.err), &e, c->name);
    e.out = c->build(e.g);
    must(fw_graph_check(e.g, &e.err), &e, c->name);
    e.n = fw_shape_count(fw_val_shape(e.g, e.out));
    e.target = fw_input(e.g, "t", FW_F32, *fw_val_shape(e.g, e.out));
    fw_val loss = fw_mse_loss(e.g, e.out, e.target, FW_NONE);
    must(fw_plan_new(e.g, &(fw_plan_opts){.train = false}, &e.out, 1, &e.infer, &e.err), &e, c->name);
    must(fw_plan_new(e.g, &(fw_plan_opts){.train = true}, &loss, 1, &e.train, &e.err), &e, c->name);
    fill_inputs(&e);
    e.t = fw_plan_data(e.train, e.target);
    for (int64_t i = 0; i < e.n; i++)
        e.t[i] = normal(1.0f);
    for (int i = 0; i < fw_params_count(e.params); i++) { /* biases too */
        fw_parameter *p = fw_params_at(e.params, i);
        for (int64_t k = 0; k < fw_shape_count(&p->shape); k++)
            p->data[k] += p->data[k] == 0.0f ? normal(0.5f) : 0.0f;
    }
    must(fw_plan_run(e.train, &e.err), &e, c->name);

    const double l = loss_of(&e, c->name), l_train = (double)*(float *)fw_plan_data(e.train, loss);
    if (fabs(l - l_train) > 1e-5 * (1 + l))
        FW_FAILED("%s: loss %.9g, by hand %.9g", c->name, l_train, l);
    double worst = 0, size = 0;
    int checked = 0, kinks = 0;
    for (int i = 0; i < fw_params_count(e.params); i++) {
        fw_parameter *p = fw_params_at(e.params, i);
        const float *grad = fw_plan_grad(e.train, p);
        int64_t n = fw_shape_count(&p->shape);
        if (grad == NULL)
            FW_FAILED("%s: %s has no gradient", c->name, p->name);
        for (int64_t k = 0; k < n && k < MAX_CHECKED; k++) {
            int64_t at = n <= MAX_CHECKED ? k : (int64_t)fw_rng_below(&g_rng, (uint64_t)n);
            double want = difference(&e, &p->data[at], 4e-3f, c->name), d = fabs((double)grad[at] - want);
            checked++;
            const bool bad = d > (c->tol > 0 ? c->tol : 2e-4) * (0.1 + fabs(want));
            if (bad && fabs(difference(&e, &p->data[at], 1e-3f, c->name) - want) > d / 8) {
                kinks++;
                continue;
            }
            if (bad)
                FW_FAILED("%s: d/d%s[%lld] = %.7g, by differences %.7g", c->name, p->name, (long long)at,
                          (double)grad[at], want);
            worst = d > worst ? d : worst;
            size += fabs(want);
        }
    }
    if (kinks * 100 > 15 * checked)
        FW_FAILED("%s: %d of %d elements lie at a kink", c->name, kinks, checked);
    if (size / checked < 1e-4)
        FW_FAILED("%s: gradients are all but zero (mean %.3g): the case tests nothing", c->name, size / checked);
    printf("ok %-28s %4d elements, worst difference %.1e\n", c->name, checked, worst);
    fw_plan_free(e.infer);
    fw_plan_free(e.train);
    fw_graph_free(e.g);
    fw_params_free(e.params);
}

int main(int argc, char **argv) {
    int ran = 0;
    for (size_t i = 0; i < sizeof(k_cases) / sizeof(*k_cases); i++) {
        if (argc < 2 || strcmp(argv[1], k_cases[i].name) == 0) {
            check_case(&k_cases[i]);
            ran++;
        }
    }
    return ran > 0 ? 0 : 2;
}
