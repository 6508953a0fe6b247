#!/usr/bin/env bash
# Builds everything and runs every test. From a bare clone: installs what is missing first.
#
#   tests/run.sh                             the suite; its core again with content ids cut to 8 bits,
#                                            under AddressSanitizer and UBSan; 20 s of each fuzz target
#   tests/run.sh PRESET [CTEST ARGUMENTS...] one of them: release dev asan collisions tsan
#
# More: tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# What is run again under the sanitizers: folders of tests/. The others are loops over the same code,
# long there, and most of them make no use of content ids; `tests/run.sh collisions` runs them all.
core=(format engine model faults_allocation)

run_preset() {
  local preset=$1
  shift
  cmake --preset "$preset" -DCKPSTORE_WERROR=ON
  cmake --build --preset "$preset"
  ctest --preset "$preset" --parallel "$(nproc)" "$@"
}

tools/install-deps.sh
if [ $# -gt 0 ]; then
  run_preset "$@"
else
  run_preset release
  programs=("${core[@]/#/ckp_}")
  programs=("${programs[@]/%/_tests}")
  cmake --preset collisions -DCKPSTORE_WERROR=ON
  cmake --build --preset collisions --target "${programs[@]}"
  ctest --preset collisions --parallel "$(nproc)" --label-regex "^($(IFS='|'; echo "${core[*]}"))$"
  tests/fuzz/run.sh 20
fi
