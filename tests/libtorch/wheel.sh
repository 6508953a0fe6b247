#!/bin/sh
# wheel.sh DIRECTORY [EXCHANGE_PROGRAM]
# Builds the adapter and its tests against the LibTorch of PyTorch's wheel and runs them. With
# EXCHANGE_PROGRAM, the ckp_libtorch_tests of another LibTorch, each of the two restores what the
# other has saved. The wheel goes into a virtual environment in DIRECTORY, once; keep DIRECTORY for
# the next time. Exit code 77: skipped.
#
# The wheel's libtorch_cpu is linked directly (engine/libtorch/FindLibTorch.cmake): no CUDA toolkit,
# but two small NVIDIA packages that it loads at run time, too.
set -eu
directory=$1
exchange_program=${2:-}
source=$(cd "$(dirname "$0")/../.." && pwd)
version=2.15.0

skip() {
  echo "SKIPPED: $1"
  exit 77
}

command -v python3 >/dev/null 2>&1 || skip "there is no python3"
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
if ! [ -e "$directory/installed-$version" ]; then
  rm -rf "$directory/venv"
  python3 -m venv "$directory/venv" >"$directory/venv.log" 2>&1 ||
    skip "python3 -m venv does not work (Debian: python3-venv), see $directory/venv.log"
  "$directory/venv/bin/python" -m pip --disable-pip-version-check install --timeout 15 --retries 1 \
    --no-deps "torch==$version" nvidia-cuda-runtime nvidia-cuda-cupti >"$directory/pip.log" 2>&1 ||
    skip "pip cannot install torch $version (no PyPI?), see $directory/pip.log"
  touch "$directory/installed-$version"
fi
torch=$(echo "$directory"/venv/lib/python3*/site-packages/torch)

cmake -S "$source" -B "$directory/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -g0" -DCKPSTORE_BENCH=OFF "-DCKPSTORE_TORCH=$torch"
cmake --build "$directory/build" --target ckp_libtorch_tests

export OMP_NUM_THREADS=1
tests="$directory/build/bin/ckp_libtorch_tests"
"$tests" --gtest_brief=1
if [ -n "$exchange_program" ]; then
  CKP_EXCHANGE="$directory/exchange"
  export CKP_EXCHANGE
  rm -rf "$CKP_EXCHANGE"
  for program in "$exchange_program" "$tests" "$exchange_program"; do
    "$program" --gtest_filter='Exchange.*' --gtest_brief=1
  done
fi
