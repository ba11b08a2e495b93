#!/bin/sh
# check_model.sh [MODEL] - spin verifies the model of the mode machine (tests/safety/machine.pml, or MODEL): its assertions, what must
# always hold, and that spin finds what must be possible. "model ok", or the claim that is not as it should be.
cd "$(dirname "$0")/.." || exit 2
model=$(realpath "${1:-tests/safety/machine.pml}")
command -v spin >/dev/null || {
    echo "skip: no spin; tools/setup.sh --checks installs it" >&2
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 2
spin -a "$model" >spin.log 2>&1 && cc -O1 -w -DNFAIR=3 -DMEMLIM=1024 -DVECTORSZ=256 -o pan pan.c || {
    cat spin.log
    exit 1
}
fails=0
claim() { # name, how many errors there must be
    ./pan -a -m200000 -N "$1" >"$1.log" 2>&1
    grep -q "errors: $2" "$1.log" && ! grep -q 'max search depth too small' "$1.log" || {
        echo "$(basename "$model"): $1: wanted $2 errors, found: $(grep -E 'errors:|assertion' "$1.log" | tr '\n' ' ')"
        fails=$((fails + 1))
    }
}
claim absorbing 0
claim silenced 0
claim unreachable 1
claim motionless 1
claim stuck 1
[ "$fails" -eq 0 ] || exit 1
echo "model ok: $(grep -h 'states, stored' absorbing.log | tr -s ' ')"
