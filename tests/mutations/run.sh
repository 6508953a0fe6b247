#!/usr/bin/env bash
# Breaks the code on purpose, one patch at a time, and runs the tests: each patch must turn them red.
#
#   tests/mutations/run.sh [PATCH...]      default: every tests/mutations/*.patch
#
# Works on a copy of HEAD under build/mutations. Prints one table row a patch: what was broken, how
# many tests failed, and the first of them. Fails when a patch survives, only makes a program hang,
# or no longer applies.
#
# A patch starts with "Break: WHAT (RULE)" and "Programs: NAME[=FILTER] ...", the test programs
# (engine, crash, ...) that are to notice.
set -euo pipefail
cd "$(dirname "$0")/../.."

patches=("$@")
if [ ${#patches[@]} -eq 0 ]; then patches=(tests/mutations/*.patch); fi
patches=("${patches[@]/#/$PWD/}")
patches=("${patches[@]/#$PWD\/\//\/}")
tools/install-deps.sh

tree=build/mutations/tree
build=build/mutations/build
rm -rf "$tree"
mkdir -p "$tree"
git archive HEAD | tar -x -m -C "$tree"  # -m: as new, or the last run's objects would pass for it
cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_CXX_FLAGS_RELEASE=-O1" \
  -DCKPSTORE_LIBTORCH=OFF -DCKPSTORE_BENCH=OFF >/dev/null

limit_s=120  # for one program

# Builds and runs the programs; prints the names of the tests that fail, and "PROGRAM hangs" for a
# program that did not end in time without a test having failed before.
failing_tests() {
  local item program filter status failed
  for item in "$@"; do
    program=ckp_${item%%=*}_tests
    filter='*'
    if [[ $item == *=* ]]; then filter=${item#*=}; fi
    ninja -C "$build" "$program" >"$build/log" 2>&1 || { tail -n 20 "$build/log" >&2; return 1; }
    status=0
    timeout -k 10 "$limit_s" "$build/bin/$program" --gtest_brief=1 --gtest_filter="$filter" \
      >"$build/log" 2>&1 || status=$?
    failed=$(sed -n 's/^\[  FAILED  \] \([A-Za-z0-9_/]*\.[A-Za-z0-9_/]*\)\( (.*\|,.*\)\?$/\1/p' \
      "$build/log" | sort -u)
    if [ -n "$failed" ]; then
      echo "$failed"
    elif [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
      echo "$program hangs"
    elif [ "$status" -ne 0 ]; then
      echo "$program (ended with status $status)"
    fi
  done
}

unbroken=$(failing_tests $(sed -n 's/^Programs: //p' "${patches[@]}" | tr ' ' '\n' | sort -u))
if [ -n "$unbroken" ]; then
  printf 'these fail without any patch; mend them first:\n%s\n' "$unbroken" >&2
  exit 1
fi

survived=0
echo "| broken on purpose | tests that fail | for example |"
echo "|---|---|---|"
for patch in "${patches[@]}"; do
  name=$(basename "$patch" .patch)
  broken=$(sed -n 's/^Break: //p' "$patch")
  read -r -a programs <<<"$(sed -n 's/^Programs: //p' "$patch")"
  if ! patch -d "$tree" -p1 --quiet --forward <"$patch"; then
    echo "$name: the patch no longer applies; make it anew" >&2
    exit 1
  fi
  failed=$(failing_tests "${programs[@]}")
  patch -d "$tree" -p1 --quiet --reverse <"$patch"
  count=$(printf '%s\n' "$failed" | grep . | grep -vc ' hangs$' || true)
  if [ "$count" -eq 0 ]; then
    # A test that never ends has not said what is wrong.
    echo "| $broken | **$(echo ${failed:-survived})** | |"
    survived=1
  else
    echo "| $broken | $count | $(printf '%s\n' "$failed" | head -n 3 | paste -sd, | sed 's/,/, /g') |"
  fi
done
exit $survived
