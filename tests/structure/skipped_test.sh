#!/usr/bin/env bash
# tests/run.sh says at its end what was skipped and why, also when a test has failed. It runs here
# in a tree with nothing to build: cmake does nothing, and each preset has the tests below.
set -euo pipefail
tests=$(cd "$(dirname "$0")/.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
real_ctest=$(command -v ctest)

mkdir -p "$tree"/{tests/fuzz,tests/libtorch,tools,bin,build/release,build/collisions}
cp "$tests"/run.sh "$tests"/skipped.sh "$tree/tests/"
printf '#!/bin/sh\n' | tee "$tree/tools/install-deps.sh" "$tree/bin/cmake" >/dev/null
printf '#!/bin/sh\necho FUZZED\n' >"$tree/tests/fuzz/run.sh"
printf '#!/bin/sh\necho "SKIPPED: there is no pip"\nexit 77\n' >"$tree/tests/libtorch/wheel.sh"
cat >"$tree/bin/ctest" <<END
#!/bin/sh
[ "\$1" = --preset ] || exit 9
build="$tree/build/\$2"
shift 2
exec "$real_ctest" --test-dir "\$build" "\$@"
END
chmod +x "$tree"/bin/* "$tree"/tools/* "$tree"/tests/{fuzz/run,libtorch/wheel}.sh

cat >"$tree/build/release/CTestTestfile.cmake" <<'END'
add_test(Gtest.One sh -c "seq 2000; echo; echo '/a/b_test.cc:7: Skipped'; echo 'needs <mount> & such'; echo; echo '[  SKIPPED ] Gtest.One (0 ms)'")
add_test(Gtest.Two sh -c "echo '/a/b_test.cc:9: Skipped'; echo 'needs <mount> & such'; echo; echo '[  SKIPPED ] Gtest.Two (0 ms)'")
set_tests_properties(Gtest.One Gtest.Two PROPERTIES SKIP_REGULAR_EXPRESSION "\\[  SKIPPED \\]" LABELS engine)
add_test(python sh -c "echo 'SKIPPED: there is no python3'; exit 77")
set_tests_properties(python PROPERTIES SKIP_RETURN_CODE 77)
add_test(Good.One sh -c "echo never said: Skipped")
END
cat >"$tree/build/collisions/CTestTestfile.cmake" <<'END'
add_test(Good.Two true)
set_tests_properties(Good.Two PROPERTIES LABELS engine)
END

fail() {
  echo "$1" >&2
  cat "$tree/out" >&2
  exit 1
}
run() {
  status=0
  PATH="$tree/bin:$PATH" "$tree/tests/run.sh" "$@" >"$tree/out" 2>&1 || status=$?
}

expected='release: 3 skipped, which proves nothing:
  needs <mount> & such:
    Gtest.One
    Gtest.Two
  SKIPPED: there is no python3:
    python'
run
[ "$status" -eq 0 ] || fail "a skipped test made run.sh fail"
[ "$(sed '1,/^FUZZED$/d' "$tree/out")" = "$expected
collisions: no test was skipped
wheel: SKIPPED: there is no pip" ] || fail "not what was skipped, or not at the end"

echo 'add_test(Bad.One false)' >>"$tree/build/release/CTestTestfile.cmake"
run release --parallel 2
[ "$status" -ne 0 ] || fail "a failed test passed"
[ "$(sed -n '/^release: 3 skipped/,$p' "$tree/out")" = "$expected" ] ||
  fail "what was skipped is not said after a failure"
