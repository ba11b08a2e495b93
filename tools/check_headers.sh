#!/bin/sh
# check_headers.sh [DIR] - fail if a header does not compile alone: src/*/*.h as C11 with GNU names, include/fw/*.h as
# strict C11 and as C++17. With DIR: its *.h as if they were public. Flags for other libraries come in $HEADER_FLAGS.
cd "$(dirname "$0")/.." || exit 2
cc=${CC:-cc}
cxx=${CXX:-c++}
fails=0
try() { # what it is tried as, compiler and flags ..., header last
    what=$1
    shift
    # shellcheck disable=SC2086
    "$@" ${HEADER_FLAGS:-} -Iinclude -Isrc -fsyntax-only -w || {
        eval "echo \"\${$#}: does not compile alone as $what\""
        fails=$((fails + 1))
    }
}
public() { # HEADER
    try C11 "$cc" -std=c11 -pedantic-errors -x c "$1"
    try C++17 "$cxx" -std=c++17 -pedantic-errors -x c++ "$1"
}
if [ $# -gt 0 ]; then
    for h in "$1"/*.h; do public "$h"; done
else
    for h in include/fw/*.h; do public "$h"; done
    simd=""
    [ "$(uname -m)" != x86_64 ] || simd="-mavx2 -mfma -mf16c" # the vector headers of kern are for such files only
    for h in src/*/*.h; do
        # shellcheck disable=SC2086
        try C11 "$cc" -std=gnu11 -D_GNU_SOURCE $simd -x c "$h"
    done
fi
[ "$fails" -eq 0 ] || exit 1
echo "headers ok"
