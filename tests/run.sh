#!/usr/bin/env bash
# Builds everything and runs every test. From a bare clone: installs what is missing first.
#
#   tests/run.sh [PRESET [CTEST ARGUMENTS...]]     PRESET: release (default), dev, asan, tsan, fuzz
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true
tools/install-deps.sh
cmake --preset "$preset" -DCKPSTORE_WERROR=ON
cmake --build --preset "$preset"
ctest --preset "$preset" --parallel "$(nproc)" "$@"
