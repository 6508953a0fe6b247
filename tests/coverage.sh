#!/usr/bin/env bash
# Branch coverage of the code that must not be wrong: the format, the commit and recovery (with the
# rebuild of the index), retention. Fails below 90 %.
#
#   tests/coverage.sh [CTEST ARGUMENTS...]      report: build/coverage/report.txt, .../report.html
#
# Left out are the loops that do the same thousands of times, and programs that are killed or kept from
# writing, which spoils the counters: what these alone reach does not count.
# Branches that only an exception takes are not counted (GCC sees one at every call), nor are the
# comparisons that the compiler writes.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/install-deps.sh
cmake --preset coverage
cmake --build --preset coverage
find build/coverage -name '*.gcda' -delete
ctest --preset coverage --parallel "$(nproc)" --label-exclude '^kill$' \
  --exclude-regex "^(consumer$|RandomCrash|KillThenCut|Limits|MemoryLimit|FullDisk)|SyscallFaults|Flips\.\
|Damage.*\.(Every|Flipped|IsNever)" "$@"
gcovr --root . build/coverage --branches --exclude-throw-branches --exclude-unreachable-branches \
  --exclude-lines-by-pattern '.*operator==.*= default;' \
  --filter format/ --filter engine/store/ --filter engine/retention/ \
  --txt build/coverage/report.txt --html-details build/coverage/report.html \
  --print-summary --fail-under-branch 90
