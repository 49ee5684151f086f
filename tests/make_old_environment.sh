#!/bin/sh
# A second virtual environment with an old transformers. torch is linked from the first one (a gigabyte, the same
# build); pip sees it as installed, and nothing else of the first environment is visible.
set -eu
owner=$1/bin/python
venv=$2
rm -rf "$venv"
"$owner" -m venv --without-pip "$venv"
from=$("$owner" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
to=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
for name in torch torchgen functorch; do ln -s "$from/$name" "$to/$name"; done
for found in "$from"/torch-*.dist-info; do ln -s "$found" "$to/$(basename "$found")"; done
"$owner" -m pip --python "$venv/bin/python" install -q --disable-pip-version-check -r "$(dirname "$0")/old-environment.txt"
