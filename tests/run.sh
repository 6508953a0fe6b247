#!/usr/bin/env bash
# Builds everything and runs every test. From a bare clone: installs what is missing first.
#
#   tests/run.sh                             the suite; all but its longest loops again with content
#                                            ids cut to 8 bits, under AddressSanitizer and UBSan; 20 s
#                                            of each fuzz target
#   tests/run.sh PRESET [CTEST ARGUMENTS...] one of them: release dev asan collisions tsan
#
# More: tests/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

# Long under a sanitizer, and content ids play no part in them. `tests/run.sh collisions` has them too.
long_loops='RandomCrash|SmallFileFlips|IndexFlips|IndexDamage|WholeFileDamage|RandomDamage|FileSystemFaults|SyscallFaults'

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
  run_preset collisions --exclude-regex "$long_loops"
  tests/fuzz/run.sh 20
fi
