#!/bin/sh
# test_neon.sh [DIR] - the tests of the kernels on AArch64: cross-compiled with the flags of CMakeLists.txt, run by qemu.
#
#   tools/setup.sh --checks && tools/test_neon.sh
#
# Three CPUs, for what kern.c finds on them: plain NEON (Cortex-A72, as in a Raspberry Pi 4), dot products too (Neoverse N1; so have
# Jetson Xavier and Orin, and the Raspberry Pi 5), and bf16 too. Says whether results are right, nothing about speed. DIR: where to
# build (default build/neon). On an AArch64 machine ctest runs the same tests.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-build/neon}
cross=aarch64-linux-gnu-gcc
for tool in $cross qemu-aarch64; do
    command -v $tool >/dev/null || { echo "test_neon: wants $tool: tools/setup.sh --checks" >&2; exit 2; }
done
if command -v ccache >/dev/null; then cross="ccache $cross"; fi
mkdir -p "$dir"
rm -f "$dir"/*.o "$dir"/test_*
flags="-std=gnu11 -w -D_GNU_SOURCE -Iinclude -Isrc -Itests"
tests="attention gemm conv rows elem wino image kern" # the longest first

# one command a line: "name: what runs". Two at a time; a line FAILED for each that does not end well
each() {
    xargs -d '\n' -P 2 -I '{}' sh -c 'line="{}"
        if ${line#*: } >"$0/${line%%: *}.log" 2>&1; then echo "ok ${line%%: *}"; else
            tail -3 "$0/${line%%: *}.log"
            echo "FAILED ${line%%: *}"
        fi' "$dir"
}

compile() {
    for f in src/kern/*_neon*.c src/kern/*_scalar.c src/kern/kern.c src/kern/pack.c src/kern/peak.c; do
        case $f in
        *_neonbf16.c) extra="-O3 -fno-schedule-insns -march=armv8.2-a+bf16" ;;
        *_neondotint8.c) extra="-O3 -fno-schedule-insns -march=armv8.2-a+dotprod" ;;
        *_neon*.c) extra="-O3 -fno-schedule-insns" ;;
        *_scalar.c) extra="-O2 -ffp-contract=off" ;;
        *) extra=-O2 ;;
        esac
        echo "$(basename "$f" .c): $cross $flags $extra -c $f -o $dir/$(basename "$f" .c).o"
    done
}

link() {
    for t in $tests; do
        echo "$t: $cross $flags -O2 -static tests/kern/test_$t.c $(echo "$dir"/*.o) -o $dir/test_$t -lpthread -lm"
    done
}

run() {
    for t in $tests; do echo "$t.max: qemu-aarch64 -cpu max $dir/test_$t"; done
    for t in $tests; do echo "$t.cortex-a72: qemu-aarch64 -cpu cortex-a72 $dir/test_$t"; done
    for t in conv kern; do echo "$t.neoverse-n1: qemu-aarch64 -cpu neoverse-n1 $dir/test_$t"; done
}

{ compile | each && link | each; } | grep -v '^ok' && { echo "test_neon: does not build" >&2; exit 1; }
run | each | tee "$dir/results"
[ "$(grep -c '^ok' "$dir/results")" -eq "$(run | wc -l)" ]
