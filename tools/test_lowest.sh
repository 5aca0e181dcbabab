#!/bin/sh
# Run the tests with the lowest version of everything that pyproject.toml names: tools/test_lowest.sh [arguments of pytest]
# Python 3.10 where there is one, else this machine's python3; PYTHON=/path/to/python chooses. The environment is
# build/lowest, and .venv is not touched. KEEP=1 takes the environment of the last time as it is.
set -eu
cd "$(dirname "$0")/.."
here=build/lowest
cpu_index=https://download.pytorch.org/whl/cpu
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy

# A name on PATH may be a shim that fails when called, so every candidate is run.
find_python() {
    for candidate in ${PYTHON:-python3.10 "$HOME"/.pyenv/versions/3.10.*/bin/python python3}; do
        if "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then echo "$candidate"; return; fi
    done
    echo "piwsl-lab: no Python with the module venv was found; name one: PYTHON=/path/to/python3.10 $0" >&2
    exit 1
}

if [ -z "${KEEP:-}" ] || [ ! -x "$here/bin/python" ]; then
    python=$(find_python)
    if ! uv=$(command -v uv); then
        "$python" -m venv --clear build/uv
        build/uv/bin/python -m pip install --quiet uv
        uv=build/uv/bin/uv
    fi
    "$uv" venv --quiet --clear --python "$python" "$here"
    # Where the index of CPU wheels answers, torch comes without gigabytes of CUDA.
    if "$python" -c "import urllib.request as u; u.urlopen('$cpu_index/torch/', timeout=5)" >/dev/null 2>&1; then
        export UV_TORCH_BACKEND=cpu
    fi
    "$uv" pip install --quiet --python "$here/bin/python" --resolution lowest-direct --editable ".[test]"
    "$uv" pip list --python "$here/bin/python"
fi

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$here/bin/python" --version
if [ $# -eq 0 ]; then set -- tests/; fi
exec "$here/bin/python" -m pytest -p no:cacheprovider "$@"
