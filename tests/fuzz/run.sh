#!/usr/bin/env bash
# Fuzzes every parser with libFuzzer, ASan and UBSan: builds the preset `fuzz`, runs each target, two
# at a time, and prints one line for each. Needs clang 14 (tools/install-deps.sh).
#
#   tests/fuzz/run.sh [SECONDS [TARGET...]]     20 seconds each by default; all targets
#
# Finds go to a scratch folder ($CKP_FUZZ_SCRATCH, or one below $TMPDIR): the folder `corpus` there
# holds new inputs that reach new code, `findings` what broke a promise. Exit 1 when there is any.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-20}
shift || true
build=${CKP_FUZZ_BUILD:-build/fuzz}
scratch=${CKP_FUZZ_SCRATCH:-$(mktemp -d "${TMPDIR:-/tmp}/ckp-fuzz-XXXXXX")}
corpus=$PWD/tests/fuzz/corpus

if [ -z "${CKP_FUZZ_BUILD:-}" ]; then
  cmake --preset fuzz >/dev/null
  cmake --build --preset fuzz
fi

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cc; do
    target=$(basename "$source" _fuzz.cc)
    targets+=("$target")
  done
fi

# One target for the given time; its line, and its exit status. A crash, a leak, undefined behaviour,
# 2 GiB in all or 1 GiB at once, and 10 seconds for one input are findings.
fuzz() {
  local target=$1 log=$scratch/$1.log found=$scratch/findings/$1 status=0
  mkdir -p "$scratch/corpus/$target" "$found"
  local longest=16384
  [ "$target" != index_file ] || longest=131072  # LMDB's pages are large
  "$build/bin/ckp_fuzz_$target" -max_total_time="$seconds" -max_len="$longest" -timeout=10 \
    -rss_limit_mb=2048 -malloc_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found/" \
    "$scratch/corpus/$target" "$corpus/$target" >"$log" 2>&1 || status=$?
  local runs coverage findings
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
  findings=$(find "$found" -type f | wc -l)
  [ "$status" -eq 0 ] || [ "$findings" -gt 0 ] || findings=1
  echo "[figure] P13 $target: ${runs:-0} runs in $seconds s, coverage ${coverage:-0}, $findings findings"
  [ "$findings" -eq 0 ] && return 0
  find "$found" -type f | while read -r file; do
    echo "fuzz: finding in $target: $file; repeat it with: $build/bin/ckp_fuzz_$target $file" >&2
  done
  echo "fuzz: the log of $target is $log; its last lines:" >&2
  tail -n 30 "$log" >&2
  return 1
}

failed=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge 2 ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || failed=1
  running=$((running - 1))
done
[ "$failed" -eq 0 ] && [ -z "${CKP_FUZZ_SCRATCH:-}" ] && rm -r "$scratch"
exit "$failed"
