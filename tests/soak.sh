#!/usr/bin/env bash
# Crashes, faults, kills, damage and malformed input, over and over with new seeds, for as long as
# asked; at least one round. Appends the figures of every round to a report and stops at the first
# failure, whose seed stands in the report.
#
#   tests/soak.sh DURATION [REPORT]      DURATION: 90s, 30m, 12h, or 0 for one round with the
#                                        default seeds; REPORT: soak-report.txt
#
# CKP_TEST_EFFORT (default 4 when soaking, 1 for a single round) makes each round's loops longer.
set -euo pipefail
invoked_from=$PWD
cd "$(dirname "$0")/.."

duration=${1:-}
if [[ ! $duration =~ ^(0|[1-9][0-9]*[hms])$ ]]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
case $duration in
  *h) seconds=$((${duration%h} * 3600)) ;;
  *m) seconds=$((${duration%m} * 60)) ;;
  *s) seconds=${duration%s} ;;
  0) seconds=0 ;;
esac
report=$(cd "$invoked_from" && realpath -m "${2:-soak-report.txt}")

tools/install-deps.sh
cmake --preset release
cmake --build --preset release
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

programs=(model crash faults faults_allocation kill damage)
fuzz_seconds=20
if [ "$seconds" -gt 0 ]; then
  export CKP_TEST_EFFORT=${CKP_TEST_EFFORT:-4}
  fuzz_seconds=60
fi

# One program of one round; its output stays where a failure can be read.
run_program() {
  build/release/bin/"ckp_$1_tests" >"$scratch/$1.log" 2>&1
}

run_round() {
  local failed=0 running=() program
  for program in "${programs[@]}"; do
    run_program "$program" &
    running+=($!)
    if [ ${#running[@]} -ge "$(nproc)" ]; then
      wait "${running[0]}" || failed=1
      running=("${running[@]:1}")
    fi
  done
  for process in "${running[@]}"; do wait "$process" || failed=1; done
  tests/fuzz/run.sh "$fuzz_seconds" >"$scratch/fuzz.log" 2>&1 || failed=1
  return $failed
}

started=$SECONDS
round=0
while :; do
  round=$((round + 1))
  if [ "$seconds" -gt 0 ]; then
    CKP_TEST_SEED=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
    export CKP_TEST_SEED
  fi
  {
    echo "== $(date -u +%FT%TZ) round $round, commit $(git rev-parse --short HEAD)," \
      "seed ${CKP_TEST_SEED:-of each test}, effort ${CKP_TEST_EFFORT:-1}"
  } >>"$report"
  outcome=0
  run_round || outcome=1
  grep -h '^\[figure\]' "$scratch"/*.log | sort >>"$report" || true
  if [ $outcome -ne 0 ]; then
    {
      echo "FAILED:"
      grep -h -B 30 -A 5 -E '^\[  FAILED  \]|Failure$|finding' "$scratch"/*.log | tail -n 200
    } >>"$report" || true
    echo "soak: round $round failed; see $report" >&2
    exit 1
  fi
  if [ $((SECONDS - started)) -ge "$seconds" ]; then break; fi
done
echo "soak: $round rounds in $((SECONDS - started)) s, nothing found; figures: $report"
