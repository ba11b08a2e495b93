#!/bin/sh
# check_format.sh [FILE] - fail if a source file (or FILE, taken as C) is not as clang-format-14 would write it.
cd "$(dirname "$0")/.." || exit 2
tool=$(command -v clang-format-14 || command -v clang-format) || {
    echo "skip: no clang-format; tools/setup.sh --checks installs it" >&2
    exit 77
}
case $("$tool" --version) in
*"version 14."*) ;;
*)
    echo "skip: clang-format 14 decides, found $("$tool" --version)" >&2
    exit 77
    ;;
esac
if [ $# -gt 0 ]; then
    report=$("$tool" --style=file --assume-filename="$1.c" --dry-run <"$1" 2>&1)
else # tests/golden/ is written by programs
    report=$(find src include cli tests fuzz bench tools -path tests/golden -prune -o \( -name '*.[ch]' -o -name '*.cc' \) \
        -print 2>/dev/null | sort | xargs "$tool" --dry-run 2>&1)
fi
if [ -n "$report" ]; then
    echo "$report" | grep 'clang-format-violations' | cut -d: -f1 | sort | uniq -c |
        awk '{ print $2 ": " $1 " places are not as clang-format writes them; make format" }'
    exit 1
fi
echo "format ok"
