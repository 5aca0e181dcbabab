#!/bin/sh
# Run the tests with the lowest version of everything that pyproject.toml names: tools/test_lowest.sh [arguments of pytest]
# Python 3.10 where uv finds one, else the python3 of this machine. The environment is build/lowest; .venv is not touched.
# KEEP=1 takes the environment of the last time as it is.
set -eu
cd "$(dirname "$0")/.."
here=build/lowest
cpu_index=https://download.pytorch.org/whl/cpu
export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy

if [ -z "${KEEP:-}" ] || [ ! -x "$here/bin/python" ]; then
    if ! uv=$(command -v uv); then
        python3 -m venv --clear build/uv
        build/uv/bin/python -m pip install --quiet uv
        uv=build/uv/bin/uv
    fi
    "$uv" venv --quiet --clear --python 3.10 "$here" 2>/dev/null \
        || "$uv" venv --quiet --clear --python "$(command -v python3)" "$here"
    # Where the index of CPU wheels answers, torch comes without gigabytes of CUDA.
    if python3 -c "import urllib.request as u; u.urlopen('$cpu_index/torch/', timeout=5)" >/dev/null 2>&1; then
        export UV_TORCH_BACKEND=cpu
    fi
    "$uv" pip install --quiet --python "$here/bin/python" --resolution lowest-direct --editable ".[test]"
    "$uv" pip list --python "$here/bin/python"
fi

export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
"$here/bin/python" --version
if [ $# -eq 0 ]; then set -- tests/; fi
exec "$here/bin/python" -m pytest -p no:cacheprovider "$@"
