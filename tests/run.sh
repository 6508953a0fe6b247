#!/usr/bin/env bash
# Builds everything and runs every test. From a bare clone: installs what is missing first.
#
#   tests/run.sh                             the suite; the LibTorch adapter again with the LibTorch of
#                                            PyTorch's wheel; the suite's core again with content ids
#                                            cut to 8 bits, under AddressSanitizer and UBSan; 20 s of
#                                            each fuzz target
#   tests/run.sh PRESET [CTEST ARGUMENTS...] one of them: release dev asan collisions tsan
#
# More: tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is run again under the sanitizers: folders of tests/. The others are loops over the same code,
# long there, and most of them make no use of content ids; `tests/run.sh collisions` runs them all.
core=(format engine model faults_allocation)

# At the very end, where it is seen; also after a failure.
tested=()
wheel_skipped=
say_what_was_skipped() {
  local preset
  for preset in "${tested[@]}"; do tests/skipped.sh "$preset" "$(results_of "$preset")"; done
  if [ -n "$wheel_skipped" ]; then echo "wheel: $wheel_skipped"; fi
}
trap say_what_was_skipped EXIT

results_of() { echo "$PWD/build/$1/Testing/results.xml"; }

# Passed tests' output in full: the reason of one that was skipped is in it.
run_ctest() {
  local preset=$1
  shift
  rm -f "$(results_of "$preset")"
  tested+=("$preset")
  ctest --preset "$preset" --parallel "$(nproc)" --output-junit "$(results_of "$preset")" \
    --test-output-size-passed 1000000 "$@"
}

run_preset() {
  local preset=$1
  shift
  cmake --preset "$preset" -DCKPSTORE_WERROR=ON
  cmake --build --preset "$preset"
  run_ctest "$preset" "$@"
}

# The wheel stays in build/wheel for the next time. Where it cannot be had, that is said at the end.
run_wheel() {
  local code=0
  tests/libtorch/wheel.sh build/wheel build/release | tee build/wheel.log || code=$?
  if [ "$code" -eq 77 ]; then
    wheel_skipped=$(grep '^SKIPPED' build/wheel.log)
  elif [ "$code" -ne 0 ]; then
    exit "$code"
  fi
}

tools/install-deps.sh
if [ $# -gt 0 ]; then
  run_preset "$@"
else
  run_preset release
  run_wheel
  programs=("${core[@]/#/ckp_}")
  programs=("${programs[@]/%/_tests}")
  cmake --preset collisions -DCKPSTORE_WERROR=ON
  cmake --build --preset collisions --target "${programs[@]}"
  run_ctest collisions --label-regex "^($(IFS='|'; echo "${core[*]}"))$"
  tests/fuzz/run.sh 20
fi
