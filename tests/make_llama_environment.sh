#!/bin/sh
# A second virtual environment with llama-cpp-python, which pip builds from source (5 to 12 minutes on two cores). All
# else is the first one's, by its path; xllamacpp is hidden.
set -eu
owner=$1/bin/python
venv=$2
rm -rf "$venv"
"$owner" -m venv "$venv"
from=$("$owner" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
to=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
echo "$from" > "$to/first-environment.pth"
echo "import sys; sys.modules['xllamacpp'] = None" > "$to/without-xllamacpp.pth"
CMAKE_BUILD_PARALLEL_LEVEL=2 nice "$venv/bin/pip" install -q --disable-pip-version-check --no-deps \
    -r "$(dirname "$0")/llama-environment.txt"
