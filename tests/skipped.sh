#!/usr/bin/env bash
# skipped.sh NAME RESULTS: says which tests of the run NAME were skipped, and why. RESULTS is what
# `ctest --output-junit` wrote. A skipped test proves nothing, and ctest counts it as passed.
set -euo pipefail
name=$1
results=$2

if ! [ -s "$results" ]; then
  echo "$name: nothing is known of skipped tests: ctest left no $results"
  exit 0
fi
awk -v name="$name" '
  function plain(text) {
    gsub(/&lt;/, "<", text); gsub(/&gt;/, ">", text); gsub(/&quot;/, "\"", text)
    gsub(/&apos;/, "\047", text); gsub(/&amp;/, "\\&", text)
    return text
  }
  /<testcase / {
    test = $0; sub(/.* name="/, "", test); sub(/".*/, "", test)
    skipped = / status="notrun"/; of_gtest = 0; reason = ""
  }
  !skipped { next }
  /<skipped message=/ { next }
  {
    line = $0; sub(/.*<system-out>/, "", line); sub(/<\/system-out>.*/, "", line)
  }
  # GoogleTest writes "FILE:LINE: Skipped", the reason, and an empty line; other programs end with it.
  line ~ /: Skipped$/ { of_gtest = 1; reason = ""; next }
  line ~ /^\[ / || line ~ /<testcase / { next }
  of_gtest == 1 && line ~ /^[ \t]*$/ { of_gtest = 2 }
  line ~ /[^ \t]/ && of_gtest < 2 && $0 !~ /<\/testcase>/ {
    reason = of_gtest && reason != "" ? reason " " line : line
  }
  /<\/testcase>/ {
    if (reason == "") reason = "no reason given"
    if (!(reason in tests)) order[++reasons] = reason
    tests[reason] = tests[reason] "\n    " plain(test)
    ++count
  }
  END {
    if (!count) { print name ": no test was skipped"; exit }
    printf "%s: %d skipped, which proves nothing:\n", name, count
    for (i = 1; i <= reasons; ++i) print "  " plain(order[i]) ":" tests[order[i]]
  }' "$results"
