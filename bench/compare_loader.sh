#!/bin/sh
# compare_loader.sh DIR [ROUNDS] - this store against its peers on the same dataset, in turn, so that a busy machine is busy for both.
#
#   bin/flywheel sim make --suite kitchen3 --episodes 60 --out out/k3
#   tools/golden_venv.sh && bench/compare_loader.sh out/k3/data
#
# Prints a line of JSON a measurement: training samples a second (bench_loader, LeRobot's own loader through DataLoader; 1 worker and 2;
# frames as uint8), and seconds for a scan of all rows (bench_scan, pyarrow); then the medians and what they say. The dataset's frames
# are decoded once, before, into a cache of this script's own. $PYTHON: .venv-golden/bin/python; $BUILD: build/release.
set -eu
cd "$(dirname "$0")/.."
dir=$1
rounds=${2:-3}
python=${PYTHON:-.venv-golden/bin/python}
build=${BUILD:-build/release}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export XDG_CACHE_HOME="$tmp/cache"
"$build/bin/bench_loader" "$dir" --samples 64 >/dev/null 2>&1 # decodes
for i in $(seq "$rounds"); do
    "$build/bin/bench_loader" "$dir" --samples 20000 --workers 2 2>/dev/null | grep uint8 | tee -a "$tmp/log"
    "$python" bench/peer_lerobot.py "$dir" --workers 0 2 --dtypes uint8 --samples "${PEER_SAMPLES:-640}" 2>/dev/null | tee -a "$tmp/log"
    "$build/bin/bench_scan" "$dir" --rounds 3 | tee -a "$tmp/log"
    "$python" bench/peer_pyarrow.py "$dir" --rounds 3 | tee -a "$tmp/log"
done
"$python" - "$tmp/log" <<'PY'
import json, statistics, sys
lines = [json.loads(s) for s in open(sys.argv[1])]
def median(key, **want):
    return statistics.median(l[key] for l in lines if all(str(l.get(k, "")).startswith(str(v)) for k, v in want.items()))
for workers, peer in ((1, 0), (2, 2)):  # LeRobot's 0: in the caller's own process
    ours, theirs = median("samples_per_s", loader="flywheel", workers=workers), median("samples_per_s", loader="lerobot", workers=peer)
    print(f"samples/s, {workers} worker(s): flywheel {ours:.0f}, LeRobot {theirs:.1f}: {ours / theirs:.0f} times")
for clock in ("cpu_s", "wall_s"):
    ours, theirs = median(clock, scan="flywheel"), median(clock, scan="pyarrow")
    print(f"scan, {clock}: flywheel {ours:.3f}, pyarrow {theirs:.3f}: {ours / theirs:.2f} times as long")
PY
