#!/bin/sh
# compare_train.sh PYTHON [arguments of both] - ours and PyTorch's training of flywheel-s in turn, and the ratio of medians.
#
# PYTHON has torch (tools/golden_venv.sh makes one: .venv-golden/bin/python). Three turns each, interleaved, so that a
# machine shared with others treats both alike; compare the samples a CPU second when it is busy.
set -eu
cd "$(dirname "$0")/.."
py=${1:?usage: bench/compare_train.sh PYTHON [--threads N] [--batch N] [--rounds N] [--steps N] [--k 1|3]}
shift
ours=build/${P:-dev}/bin/bench_train
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for turn in 1 2 3; do
    "$ours" "$@" | grep '^ours' | tee -a "$out"
    "$py" bench/torch_train.py "$@" | tee -a "$out"
done
awk '
function median(a, n,    i, j, t) { for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j-1]; j--) { t = a[j]; a[j] = a[j-1]; a[j-1] = t } return a[int((n + 1) / 2)] }
{ for (i = 1; i <= NF; i++) { if ($i == "median") m = $(i+1); if ($i == "samples" && $(i+1) == "a") c = $(i-1) } }
/^ours/ { no++; ow[no] = m + 0; oc[no] = c + 0 }
/^torch/ { nt++; tw[nt] = m + 0; tc[nt] = c + 0 }
END { printf "ratio ours/torch: samples a second %.2f, samples a CPU second %.2f\n", median(ow, no) / median(tw, nt), median(oc, no) / median(tc, nt) }
' "$out"
