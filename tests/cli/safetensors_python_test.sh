#!/bin/sh
# safetensors_python_test.sh CKPTOOL DIRECTORY
# Lets Python's safetensors package write files that we read, and read files that we wrote. The
# package goes into a virtual environment in DIRECTORY, once. Exit code 77: skipped.
set -eu
ckptool=$1
directory=$2
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "SKIPPED: $1"
  exit 77
}

python() { "$directory/venv/bin/python" -B "$@"; }

command -v python3 >/dev/null 2>&1 || skip "there is no python3"
mkdir -p "$directory"
if ! python -c 'import safetensors.numpy' >/dev/null 2>&1; then
  rm -rf "$directory/venv"
  python3 -m venv "$directory/venv" >"$directory/venv.log" 2>&1 ||
    skip "python3 -m venv does not work (Debian: python3-venv), see $directory/venv.log"
  python -m pip --disable-pip-version-check install --timeout 15 --retries 1 safetensors numpy \
    >"$directory/pip.log" 2>&1 ||
    skip "pip cannot install safetensors and numpy (no PyPI?), see $directory/pip.log"
fi
work=$(mktemp -d "$directory/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
python "$here/safetensors_python_test.py" "$ckptool" "$work"
