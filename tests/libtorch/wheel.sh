#!/usr/bin/env bash
# wheel.sh DIRECTORY BUILD
# The adapter and its tests (but those of the example trainers) against the LibTorch of PyTorch's
# wheel: builds and runs them. Then each of two versions restores what the other has saved. BUILD is
# a build of everything with another LibTorch: its engine is used, and its ckp_libtorch_tests is the
# other version. The wheel goes into a virtual environment in DIRECTORY, once; keep DIRECTORY for
# the next time. Exit code 77: skipped, because no package index could be reached; whatever else goes
# wrong is a failure.
#
# The wheel's libtorch_cpu is linked directly (engine/libtorch/FindLibTorch.cmake): no CUDA toolkit,
# but two small NVIDIA packages that it loads at run time, too.
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
version=2.15.0

skip() {
  echo "SKIPPED: the tests against LibTorch $version: $1"
  exit 77
}
fail() {
  echo "wheel.sh: $1" >&2
  exit 1
}
pip() {
  "$directory/venv/bin/python" -m pip --disable-pip-version-check "$@" --timeout 15 --retries 1 \
    --no-cache-dir --no-deps
}

mkdir -p "$1"
directory=$(cd "$1" && pwd)
build=$(cd "$2" && pwd)

command -v python3 >/dev/null || fail "there is no python3; install it: tools/install-deps.sh"
if ! [ -e "$directory/installed-$version" ]; then
  rm -rf "$directory/venv"
  python3 -m venv "$directory/venv" >"$directory/venv.log" 2>&1 ||
    fail "python3 -m venv does not work, see $directory/venv.log; install it: tools/install-deps.sh"
  if ! pip install --no-compile "torch==$version" nvidia-cuda-runtime nvidia-cuda-cupti \
    >"$directory/pip.log" 2>&1; then
    # Is there an index at all? Something small tells.
    pip download --dest "$directory/index" six >"$directory/index.log" 2>&1 ||
      skip "pip reaches no package index, see $directory/index.log"
    fail "pip reaches a package index, but cannot install the wheel from it, see $directory/pip.log"
  fi
  touch "$directory/installed-$version"
fi
torch=$(echo "$directory"/venv/lib/python3*/site-packages/torch)

cmake --install "$build" --prefix "$directory/engine" >"$directory/install.log"
cmake -S "$source/tests/libtorch/wheel" -B "$directory/build" -G Ninja \
  -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O0 -g0" \
  -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=10 \
  "-DCMAKE_PREFIX_PATH=$directory/engine" "-DCKPSTORE_TORCH=$torch"
cmake --build "$directory/build"

export OMP_NUM_THREADS=1
tests=$directory/build/bin/ckp_libtorch_tests
# A shell that was started in the background ignores SIGINT, and so would the tests.
env --default-signal "$tests" --gtest_brief=1

export CKP_EXCHANGE=$directory/exchange
rm -rf "$CKP_EXCHANGE"
other=$build/bin/ckp_libtorch_tests
for program in "$other" "$tests" "$other"; do
  "$program" --gtest_filter='Exchange.*' --gtest_brief=1
done
[ "$(find "$CKP_EXCHANGE" -name '*.ckp' | wc -l)" = 2 ]  # the last one has restored both
echo "LibTorch $version: passed, and each version has restored what the other has saved"
