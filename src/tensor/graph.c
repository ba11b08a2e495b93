/*
 * graph.c - values and nodes in order of creation, and the first mistake.
 *
 * DESIGN: two growing arrays. A value is an input, a parameter, the output of a node, or a reshape (another view of its
 * root's memory). A parameter is a value like any other, so gradients and sharing need no special case.
 */
#include "tensor/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tensor/op_int.h"

fw_status fw_graph_new(fw_params *params, fw_graph **out, fw_err *err) {
    *out = calloc(1, sizeof(**out));
    if (*out == NULL) {
        return fw_fail(err, FW_NOMEM, "graph");
    }
    (*out)->params = params;
    return FW_OK;
}

void fw_graph_free(fw_graph *g) {
    if (g != NULL) {
        free(g->val);
        free(g->node);
        free(g);
    }
}

fw_status fw_graph_check(const fw_graph *g, fw_err *err) {
    return g->err.code == FW_OK ? FW_OK : fw_fail(err, g->err.code, "%s", g->err.msg);
}

const fw_shape *fw_val_shape(const fw_graph *g, fw_val v) {
    static const fw_shape none = {0};
    return v >= 0 && v < g->n_val ? &g->val[v].shape : &none;
}

fw_val fw_graph_fail(fw_graph *g, fw_status code, const char *fmt, ...) {
    if (g->err.code == FW_OK) {
        va_list ap;
        va_start(ap, fmt);
        g->err.code = code;
        vsnprintf(g->err.msg, sizeof(g->err.msg), fmt, ap);
        va_end(ap);
    }
    return FW_NONE;
}

bool fw_graph_takes(fw_graph *g, const char *op, fw_val v, fw_dtype dtype) {
    if (g->err.code != FW_OK) {
        return false;
    }
    if (v == FW_NONE) {
        fw_graph_fail(g, FW_INVALID, "%s: an operand is missing", op);
        return false;
    }
    if (v < 0 || v >= g->n_val) {
        fw_graph_fail(g, FW_INVALID, "%s: %d is no value of this graph", op, v);
        return false;
    }
    if (g->val[v].dtype != dtype) {
        fw_graph_fail(g, FW_SHAPE, "%s: operand is %s, %s wanted", op, fw_dtype_name(g->val[v].dtype),
                      fw_dtype_name(dtype));
        return false;
    }
    return true;
}

void fw_graph_exact(fw_graph *g, bool on) {
    g->exact = on;
}

void fw_graph_segment(fw_graph *g, bool on) {
    g->segment = on ? ++g->n_segment : 0;
}

fw_parameter *fw_graph_rounded(const fw_graph *g, int i) {
    for (int k = 0; k < g->n_node; k++) {
        const fw_node *n = &g->node[k];
        if (n->op->watch != NULL && !n->exact && i-- == 0) {
            return g->val[n->in[n->op->pack_in]].param;
        }
    }
    return NULL;
}

void fw_graph_lora(fw_graph *g, const fw_lora *lora) {
    g->lora = lora;
}

/* Room for one more element; false: out of memory. */
static bool grow(void **mem, int n, int *cap, size_t elem) {
    if (n < *cap) {
        return true;
    }
    int more = *cap > 0 ? 2 * *cap : 64;
    void *m = realloc(*mem, (size_t)more * elem);
    if (m != NULL) {
        *mem = m;
        *cap = more;
    }
    return m != NULL;
}

static fw_val add_value(fw_graph *g, const fw_value *v) {
    char buf[64];
    size_t bytes;
    if (!fw_shape_bytes(&v->shape, sizeof(double), &bytes)) {
        return fw_graph_fail(g, FW_SHAPE, "impossible shape %s", fw_shape_str(&v->shape, buf, sizeof(buf)));
    }
    if (!grow((void **)&g->val, g->n_val, &g->cap_val, sizeof(*g->val))) {
        return fw_graph_fail(g, FW_NOMEM, "graph of %d values", g->n_val);
    }
    g->val[g->n_val] = *v;
    if (v->root == FW_NONE) {
        g->val[g->n_val].root = g->n_val;
    }
    return g->n_val++;
}

fw_val fw_graph_add(fw_graph *g, const fw_node *proto, fw_shape shape) {
    if (!grow((void **)&g->node, g->n_node, &g->cap_node, sizeof(*g->node))) {
        return fw_graph_fail(g, FW_NOMEM, "graph of %d nodes", g->n_node);
    }
    fw_val out = add_value(g, &(fw_value){.shape = shape, .dtype = FW_F32, .root = FW_NONE, .node = g->n_node});
    if (out != FW_NONE) {
        g->node[g->n_node] = *proto;
        g->node[g->n_node].exact = g->exact;
        g->node[g->n_node].segment = g->segment;
        g->node[g->n_node++].out = out;
    }
    return out;
}

fw_val fw_input(fw_graph *g, const char *name, fw_dtype dtype, fw_shape shape) {
    if (g->err.code != FW_OK) {
        return FW_NONE;
    }
    if (dtype != FW_F32 && dtype != FW_I32) {
        return fw_graph_fail(g, FW_INVALID, "input '%s': %s, only F32 and I32 are computed with", name,
                             fw_dtype_name(dtype));
    }
    return add_value(g, &(fw_value){.shape = shape, .dtype = dtype, .root = FW_NONE, .node = -1});
}

static fw_val param_of(fw_graph *g, const char *name, fw_shape shape, fw_init init, bool half) {
    fw_parameter *p;
    if (g->err.code != FW_OK || fw_params_get_any(g->params, name, &shape, init, half, &p, &g->err) != FW_OK) {
        return FW_NONE;
    }
    for (fw_val v = 0; v < g->n_val; v++) {
        if (g->val[v].param == p && g->val[v].root == v) {
            return v;
        }
    }
    return add_value(g, &(fw_value){.shape = shape, .dtype = FW_F32, .root = FW_NONE, .node = -1, .param = p});
}

fw_val fw_param(fw_graph *g, const char *name, fw_shape shape, fw_init init) {
    fw_val v = param_of(g, name, shape, init, false);
    return v != FW_NONE && g->val[v].param->half != NULL
               ? fw_graph_fail(g, FW_INVALID, "parameter %s is kept in BF16, F32 wanted", name)
               : v;
}

fw_val fw_param_any(fw_graph *g, const char *name, fw_shape shape, fw_init init) {
    return param_of(g, name, shape, init, true);
}

fw_val fw_reshape(fw_graph *g, fw_val x, fw_shape shape) {
    char a[64], b[64];
    if (!fw_graph_takes(g, "reshape", x, g->n_val > x && x >= 0 ? g->val[x].dtype : FW_F32)) {
        return FW_NONE;
    }
    size_t want;
    if (!fw_shape_bytes(&shape, 1, &want) || (int64_t)want != fw_shape_count(fw_shape_of(g, x))) {
        return fw_graph_fail(g, FW_SHAPE, "reshape: x is %s, %s wanted", fw_shape_str(fw_shape_of(g, x), a, sizeof(a)),
                             fw_shape_str(&shape, b, sizeof(b)));
    }
    return add_value(g, &(fw_value){.shape = shape, .dtype = g->val[x].dtype, .root = g->val[x].root, .node = -1});
}

int64_t fw_cols(const fw_shape *s) {
    return s->n > 0 ? s->d[s->n - 1] : 1;
}

int64_t fw_rows(const fw_shape *s) {
    return fw_shape_count(s) / fw_cols(s);
}
