#!/bin/sh
# Create .venv with a Python that works and install this checkout into it: scripts/setup.sh dev,train
# Called by `make setup`, which skips it while pyproject.toml and constraints.txt are unchanged.
set -eu
extras=${1:-dev}
venv=.venv

suits() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
        if suits "$name"; then
            echo "$name"
            return
        fi
    done
}

if ! suits "$venv/bin/python"; then
    python=$(find_python)
    if [ -z "$python" ]; then
        cat >&2 <<MESSAGE

No Python 3.10 or newer with the venv module was found.
  tried: ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}
Fix: install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install
  python@3.13), or name one: make setup PYTHON=/path/to/python3.
MESSAGE
        exit 1
    fi
    echo "Creating $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

if ! "$venv/bin/python" -m pip install --disable-pip-version-check -c constraints.txt -e ".[$extras]"; then
    cat >&2 <<MESSAGE

The installation failed; pip's messages above say where.
  python: $("$venv/bin/python" --version)   extras: $extras
Fix: without a way to pypi.org, set PIP_INDEX_URL to your mirror; with a full disk, choose
  PyTorch's smaller CPU build (CONTRIBUTING.md, "Set up"); then run the same command again.
MESSAGE
    exit 1
fi
