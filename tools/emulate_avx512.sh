#!/bin/sh
# emulate_avx512.sh [DIR] - the tests of the kernels, and of training in bf16, with AVX-512 (BF16 and VNNI too) and AVX-VNNI emulated, on any x86-64
# CPU with AVX2.
#
#   tools/setup.sh --checks && tools/emulate_avx512.sh
#
# The avx512 files of src/kern are compiled as they are, over tests/kern/emulate/immintrin.h; kern.c is told that the CPU has
# everything. Says whether results are right, nothing about speed. DIR: where to build (default build/emulate).
set -eu
cd "$(dirname "$0")/.."
dir=${1:-build/emulate}
[ -e /usr/include/simde/x86/avx512.h ] || { echo "emulate_avx512: wants libsimde-dev: tools/setup.sh --checks" >&2; exit 2; }
mkdir -p "$dir"
flags="-std=gnu11 -O1 -w -D_GNU_SOURCE -Iinclude -Isrc -Itests"
for f in src/kern/*.c src/base/*.c src/tensor/*.c; do
    extra=""
    case $f in
    *_neon*.c) continue ;;
    *_avx512*.c) extra="-DFW_EMULATED -Itests/kern/emulate -mavx2 -mfma -mf16c" ;;
    *_avxvnni*.c) extra="-DFW_EMULATED -include tests/kern/emulate/avxvnni.h -mavx2 -mfma -mf16c" ;;
    *_avx2*.c) extra="-mavx2 -mfma -mf16c" ;;
    *_scalar.c) extra="-ffp-contract=off" ;;
    */kern.c) extra="-DFW_EMULATED -D__builtin_cpu_supports(x)=1" ;;
    */file.c) extra="-DFW_HOME_DIR=\".\"" ;;
    esac
    # shellcheck disable=SC2086
    cc $flags $extra $(case $f in src/base/*) pkg-config --cflags cairo jansson libpng libjpeg ;; esac) -c "$f" -o "$dir/$(basename "$f" .c).o"
done
fails=0
for t in kern/gemm kern/conv kern/attention kern/rows kern/elem kern/wino tensor/bf16; do
    test=$(dirname $t)/test_$(basename $t).c program=$dir/test_$(basename $t)
    # shellcheck disable=SC2046,SC2086
    cc $flags "tests/$test" "$dir"/*.o -o "$program" $(pkg-config --libs jansson libpng cairo libjpeg) -lpthread -lm
    if "$program" >"$program.log" 2>&1; then
        echo "ok $t"
    else
        tail -3 "$program.log"
        echo "FAILED $t"
        fails=$((fails + 1))
    fi
done
[ "$fails" -eq 0 ]
