#!/bin/sh
# Makes or refreshes the project's virtual environment from hashed locks.
# Usage: venv.sh PYTHON VENV BUILD_LOCK LOCK
set -eu
python=$1 venv=$2 build=$3 lock=$4

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "pimedic needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1 || echo missing)." >&2
    echo "Name another: make PYTHON=python3.12 ..." >&2
    exit 2
fi
if [ ! -x "$venv/bin/pip" ]; then
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        rm -rf "$venv"
        echo "'$python -m venv' failed: install its venv module (Debian: apt install python3-venv)." >&2
        exit 2
    fi
fi
echo "setting up $venv from $lock ..." >&2
pip="$venv/bin/pip --disable-pip-version-check -qq install"
$pip --require-hashes -r "$build"
$pip --require-hashes -r "$lock"
$pip --no-deps --no-build-isolation -e .
