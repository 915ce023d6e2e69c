#!/bin/sh
# Installs PyTorch for the benchmark's torch peer: the default wheel without the
# gigabytes of CUDA wheels it asks for (torch_stand_ins.py says how it imports).
# Usage: bench/peers/setup_torch.sh [VENV]       default: .venv of this checkout
# Needs python3 with venv, gcc and readelf. A second run changes nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${1:-$here/../../.venv}
python=$venv/bin/python

[ -x "$python" ] || python3 -m venv "$venv"
if ! "$python" -c 'from importlib.metadata import version as v; v("torch")' \
  2>/dev/null; then
  "$python" -m pip install --quiet \
    filelock fsspec jinja2 networkx sympy typing_extensions
  "$python" -m pip install --quiet --no-deps torch
fi
"$python" "$here/torch_stand_ins.py"
"$python" -W ignore -c 'import torch
print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())'
