#!/bin/bash
# compare_ranks.sh DATASET [STEPS] [TURNS] - kitchen3's training by one process of two threads and by two ranks of one thread, in turn.
#
# Batch 256 as configs/kitchen3.json says: one run of 256 rows against two of 128. Of each a short and a long run: their difference is
# STEPS steps without start, caches and end. Samples a second and a CPU second of all threads and ranks; compare the latter when others use the machine. Medians at the end.
set -eu
cd "$(dirname "$0")/.."
data=${1:?usage: bench/compare_ranks.sh DATASET [STEPS] [TURNS]}
steps=${2:-60} turns=${3:-5} short=8
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export FW_LOG=error
TIMEFORMAT='%U %S'
ranks="mpirun --allow-run-as-root --bind-to none --mca btl self,vader --mca oob_tcp_if_include lo -n 2"

train() { # STEPS COMMAND...: seconds in steps, CPU seconds in all
    local n=$1
    shift
    rm -rf "$out/policy"
    { time "$@" build/"${P:-dev}"/bin/flywheel train --config configs/kitchen3.json --data "$data" --out "$out/policy" --steps "$n" --json \
        $more >"$out/json" 2>"$out/err"; } 2>"$out/cpu" || { cat "$out/err"; exit 1; }
    seconds=$(sed 's/.*"seconds": *\([0-9.e+-]*\).*/\1/' "$out/json")
    cpu=$(awk '{ print $1 + $2 }' "$out/cpu")
}

measure() { # NAME ARGUMENTS-OF-FLYWHEEL COMMAND...
    local name=$1 s c
    more=$2
    shift 2
    train $short "$@"
    s=$seconds c=$cpu
    train $((short + steps)) "$@"
    awk -v n="$name" -v k=$((steps * 256)) -v s="$s" -v c="$c" -v S="$seconds" -v C="$cpu" \
        'BEGIN { printf "%s %.0f samples/s %.0f samples a CPU second\n", n, k / (S - s), k / (C - c) }' | tee -a "$out/lines"
}

more="" && train 1 env # caches
for _ in $(seq "$turns"); do
    measure one-process-2-threads "--workers 2" env
    measure two-ranks-1-thread "--workers 1" $ranks
done
awk '
function median(a, n,    i, j, t) { for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j-1]; j--) { t = a[j]; a[j] = a[j-1]; a[j-1] = t } return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
{ n[$1]++; wall[$1, n[$1]] = $2; cpu[$1, n[$1]] = $4 }
END {
    for (w in n) { for (i = 1; i <= n[w]; i++) { x[i] = wall[w, i]; y[i] = cpu[w, i] } W[w] = median(x, n[w]); C[w] = median(y, n[w])
        printf "median of %d: %s %.0f samples/s %.0f samples a CPU second\n", n[w], w, W[w], C[w] }
    a = "one-process-2-threads"; b = "two-ranks-1-thread"
    printf "two ranks lose %.1f %% of the samples a second, %.1f %% of those a CPU second\n", 100 * (1 - W[b] / W[a]), 100 * (1 - C[b] / C[a])
}' "$out/lines"
