/* act.h - activations and attention masks by name: shared by the kernels and by the graphs that use them. */
#ifndef FW_KERN_ACT_H
#define FW_KERN_ACT_H

typedef enum fw_act {
    FW_ACT_NONE,
    FW_ACT_RELU,
    FW_ACT_RELU6,
    FW_ACT_GELU,      /* x * Phi(x), by erf */
    FW_ACT_GELU_TANH, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    FW_ACT_SILU,      /* x * sigmoid(x) */
    FW_ACT_TANH,
    FW_ACT_SIGMOID,
    FW_ACT_EXP
} fw_act;

typedef enum fw_mask {
    FW_MASK_NONE,
    FW_MASK_CAUSAL, /* query i sees keys j <= i + tk - tq */
    FW_MASK_LENGTH, /* keys at positions >= lengths[b] are not seen */
    /* Keys are a padded prefix of `prefix` keys, of which lengths[b] are real (no lengths: all), and what follows it.
     * Padding is never seen; queries i < first see only keys j < first_end, the others all (or, causal, j <= i + tk - tq). */
    FW_MASK_PREFIX,
    FW_MASK_PREFIX_CAUSAL
} fw_mask;

#endif /* FW_KERN_ACT_H */
