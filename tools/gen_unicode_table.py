#!/usr/bin/env python3
"""Write src/model/unicode_table.h: what BERT's text cleaning needs to know about Unicode.

Usage: python3 tools/gen_unicode_table.py > src/model/unicode_table.h      (only the standard library)

fold: code point -> its lower-cased canonical decomposition without nonspacing marks, where that differs from itself.
Hangul syllables are left out (their decomposition is arithmetic); marks are ranges of their own.
"""
import sys
import unicodedata as u

LAST = 0x110000


def ranges(test):
    out, start = [], None
    for c in range(LAST + 1):
        hit = c < LAST and test(c)
        if hit and start is None:
            start = c
        elif not hit and start is not None:
            out.append((start, c - 1))
            start = None
    return out


def cat(c):
    return u.category(chr(c))


def fold(c):
    if 0xAC00 <= c <= 0xD7A3 or 0xD800 <= c <= 0xDFFF:
        return (c,)
    s = [x for x in u.normalize("NFD", chr(c)) if u.category(x) != "Mn"]
    return tuple(ord(y) for x in s for y in x.lower() if u.category(y) != "Mn")


def emit_ranges(name, rs, what):
    print(f"/* {what} */\nstatic const uint32_t {name}[][2] = {{")
    line = "   "
    for a, b in rs:
        item = f" {{0x{a:X}, 0x{b:X}}},"
        if len(line) + len(item) > 118:
            print(line)
            line = "   "
        line += item
    print(line + "\n};\n")


print(f"/* unicode_table.h - made by tools/gen_unicode_table.py from Unicode {u.unidata_version}; do not edit */")
print("#ifndef FW_MODEL_UNICODE_TABLE_H\n#define FW_MODEL_UNICODE_TABLE_H\n\n#include <stdint.h>\n\n/* clang-format off */")
emit_ranges("uni_mark", ranges(lambda c: cat(c) == "Mn"), "category Mn: dropped")
emit_ranges("uni_punct", ranges(lambda c: cat(c)[0] == "P"), "categories P*: a word each")
emit_ranges("uni_other", ranges(lambda c: cat(c) in ("Cc", "Cf", "Co", "Cs")), "categories Cc, Cf, Co, Cs: dropped")
print("/* code point -> 1 to 3 others, 0 = none */\nstatic const uint32_t uni_fold[][4] = {")
line = "   "
for c in range(LAST):
    if cat(c) == "Mn" or cat(c) == "Cs":
        continue
    f = fold(c)
    if f == (c,):
        continue
    assert len(f) <= 3, hex(c)
    f = list(f) + [0] * (3 - len(f))
    item = f" {{0x{c:X}, " + ", ".join(f"0x{x:X}" if x else "0" for x in f) + "},"
    if len(line) + len(item) > 118:
        print(line)
        line = "   "
    line += item
print(line + "\n};\n/* clang-format on */\n\n#endif /* FW_MODEL_UNICODE_TABLE_H */")
