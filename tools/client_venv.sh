#!/bin/sh
# client_venv.sh [DIR] - the Python environment of the clients that tests drive our server with (default .deps/clients).
#
# Only tests need it (tools/setup.sh --checks makes it; without it they are skipped): the real openpi-client and vla-eval's client,
# unchanged, at pinned versions. openpi-client's wheel pins numpy < 2 and forgets typing_extensions: it goes in without dependencies.
# Idempotent: a finished environment is left alone.
set -eu
cd "$(dirname "$0")/.."
dir=${1:-.deps/clients}
stamp=$dir/.complete-1
[ ! -e "$stamp" ] || exit 0
mkdir -p "$dir"
exec 8>"$dir/lock"
flock 8 # two at once: the second waits, then finds it done
[ ! -e "$stamp" ] || exit 0

python3 -m venv "$dir" 2>/dev/null || {
    echo "client_venv: python3 -m venv does not work; this would help:  apt-get install python3-venv" >&2
    exit 1
}
"$dir/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: 'numpy==2.2.6' 'msgpack==1.1.2' 'websockets==15.0.1' \
    'pillow==11.3.0' 'typing_extensions==4.15.0' 'dm-tree==0.1.9' 'anyio==4.11.0'
"$dir/bin/pip" install --quiet --disable-pip-version-check --no-deps 'openpi-client==0.1.2' 'vla-eval==0.8.0'
"$dir/bin/python" -c 'from openpi_client import websocket_client_policy; from vla_eval import connection'
touch "$stamp"
