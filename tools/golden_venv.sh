#!/bin/sh
# golden_venv.sh [DIR] - the Python environment in which goldens are generated (default .venv-golden).
#
# Only people who regenerate tests/golden/ need it: neither `make run` nor `make test` does. It holds the reference
# library (LeRobot) and with it PyTorch, about 6 GB; needs Python >= 3.12 (found as python3.12, python3.13 or through
# pyenv, or named by $FW_PYTHON). Idempotent: a finished environment is left alone.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-.venv-golden}
stamp=$dir/.complete-2
[ ! -e "$stamp" ] || { echo "golden_venv: $dir is there"; exit 0; }

py=
for p in "${FW_PYTHON:-}" python3.12 python3.13 "$HOME"/.pyenv/versions/3.12*/bin/python3 "$HOME"/.pyenv/versions/3.13*/bin/python3; do
    if [ -n "$p" ] && "$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
        py=$p
        break
    fi
done
[ -n "$py" ] || { echo "golden_venv: no Python >= 3.12; install one and run  FW_PYTHON=/path/to/python3.12 tools/golden_venv.sh" >&2; exit 1; }

echo "golden_venv: $dir with $("$py" --version)"
"$py" -m venv "$dir"
"$dir/bin/pip" install --quiet 'torch==2.10.0' 'torchvision==0.25.0' 'lerobot[dataset,transformers-dep]==0.6.1'
"$dir/bin/python" -c 'import lerobot, torch, av, pyarrow; print("golden_venv: lerobot", lerobot.__version__, "torch", torch.__version__, "av", av.__version__, "pyarrow", pyarrow.__version__)'
# the last LeRobot that reads v2.1, beside it, with the libraries of the other: tests/golden/lerobot21_open.py
"$dir/bin/pip" install --quiet --no-deps --target "$dir/lerobot-0.3.3" 'lerobot==0.3.3' 'datasets==3.6.0'
touch "$stamp"
