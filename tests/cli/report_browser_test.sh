#!/bin/sh
# report_browser_test.sh CKPTOOL MAKE_STORE
# Opens a report in a headless Chromium and uses it. Exit code 77: skipped.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

skip() {
  echo "SKIPPED: $1"
  exit 77
}

command -v python3 >/dev/null 2>&1 || skip "there is no python3"
browser=
for name in chromium-headless-shell chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then browser=$name; break; fi
done
[ -n "$browser" ] || skip "there is no Chromium (Debian: chromium-headless-shell)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$2" "$work/store"
"$1" report "$work/store" --output "$work/report.html"
"$1" init "$work/empty" >/dev/null
"$1" report "$work/empty" --output "$work/empty.html"
python3 -B "$here/report_browser_test.py" "$browser" "$work"
