#!/bin/sh
# Make .venv where it is missing and install the package into it with one extra: tools/make_venv.sh lab|test
# PYTHON=/path/to/python3.x chooses the interpreter of a new environment.
set -eu
cd "$(dirname "$0")/.."
extra=${1:?usage: tools/make_venv.sh lab|test}
here=.venv/bin/python
cpu_index=https://download.pytorch.org/whl/cpu

fail() { echo "piwsl-lab: $*" >&2; exit 1; }

# A name on PATH may be a shim that fails when called, so every candidate is run, not only looked up.
# The machine's own python3 comes first: wheels that were put there for it (a CPU build of torch) fit it.
suits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }
can_make_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

find_python() {
    incomplete=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
        suits "$candidate" || continue
        if can_make_venv "$candidate"; then echo "$candidate"; return; fi
        incomplete=$candidate
    done
    [ -z "$incomplete" ] || fail "$incomplete has no venv module; on Debian or Ubuntu: sudo apt-get install python3-venv"
    fail "no Python 3.10-3.13 found${PYTHON:+ at $PYTHON}; install one (https://www.python.org/downloads/)" \
         "or name one: make lab PYTHON=/path/to/python3.12"
}

if [ -x "$here" ] && "$here" -m pip --version >/dev/null 2>&1; then
    suits "$here" || fail "$here is not Python 3.10-3.13; remove .venv and try again"
else
    python=$(find_python)
    echo "piwsl-lab: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

# On Linux the default torch wheel brings gigabytes of CUDA. Without an NVIDIA driver the CPU wheel is taken
# where its index answers; where it does not, the default one works just as well.
if [ "$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null 2>&1 \
    && ! "$here" -c 'import importlib.metadata as m; m.version("torch")' >/dev/null 2>&1 \
    && "$here" -c "import urllib.request as u; u.urlopen('$cpu_index/torch/', timeout=5)" >/dev/null 2>&1; then
    bounds=$(sed -n 's/^ *"\(torch[<>=][^"]*\)".*/\1/p' pyproject.toml)
    "$here" -m pip install --quiet --index-url "$cpu_index" "$bounds" || echo "piwsl-lab: no CPU wheel of torch there, going on"
fi

echo "piwsl-lab: installing the package and what it needs (minutes the first time)"
"$here" -m pip install --quiet --editable ".[$extra]" \
    || fail "pip could not install the packages (see above); check the network and try again"
touch ".venv/.piwsl-lab-$extra"
[ "$extra" = lab ] || touch .venv/.piwsl-lab-lab  # every other extra contains lab
