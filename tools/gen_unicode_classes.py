#!/usr/bin/env python3
"""Write src/model/unicode_classes.h: which characters the reference library `tokenizers` takes for letters and numbers.

Usage: .venv-golden/bin/python tools/gen_unicode_classes.py > src/model/unicode_classes.h

It is asked itself, character by character, because its regular expressions (Oniguruma) and its Digits step (Rust) follow two
versions of Unicode, and neither is Python's.
"""
import tokenizers
from tokenizers import Regex, pre_tokenizers


def members(step):
    """Characters that the step cuts out of the text around them."""
    return {c for c in range(2, 0x110000) if not 0xD800 <= c <= 0xDFFF and len(step.pre_tokenize_str("\x01" + chr(c) + "\x01")) > 1}


def ranges(chars):
    out = []
    for c in sorted(chars):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def emit(name, chars, what):
    print(f"/* {what} */\nstatic const uint32_t {name}[][2] = {{")
    line = "   "
    for a, b in ranges(chars):
        item = f" {{0x{a:X}, 0x{b:X}}},"
        if len(line) + len(item) > 118:
            print(line)
            line = "   "
        line += item
    print(line + "\n};\n")


print(f"/* unicode_classes.h - made by tools/gen_unicode_classes.py from tokenizers {tokenizers.__version__}; do not edit */")
print("#ifndef FW_MODEL_UNICODE_CLASSES_H\n#define FW_MODEL_UNICODE_CLASSES_H\n\n#include <stdint.h>\n\n/* clang-format off */")
number = members(pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"))
emit("uni_letter", members(pre_tokenizers.Split(Regex(r"\p{L}"), "isolated")), "\\p{L}")
emit("uni_number", number, "\\p{N}")
emit("uni_digit_more", members(pre_tokenizers.Digits(True)) - number, "what Digits knows beyond \\p{N}")
print("/* clang-format on */\n\n#endif /* FW_MODEL_UNICODE_CLASSES_H */")
