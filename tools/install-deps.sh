#!/usr/bin/env bash
# Installs what ckpstore needs to build, from Debian's packages. Quick when everything is there.
#
#   tools/install-deps.sh           what building, testing and the demo need
set -euo pipefail

packages=(
  build-essential cmake ninja-build pkg-config git ca-certificates
  libtorch-dev liblmdb-dev libzstd-dev libxxhash-dev libbenchmark-dev libgtest-dev
  libsqlite3-dev               # bench/search_bench
  libcli11-dev libfmt-dev nlohmann-json3-dev zlib1g-dev dataset-fashion-mnist
  libjs-chart.js               # in the page of ckptool report
  python3 python3-venv bindfs strace
  clang-14 libclang-rt-14-dev  # tests/fuzz/run.sh
  gcovr                        # tests/coverage.sh
  chromium-headless-shell      # tests/cli/report_browser_test.sh
)

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install-deps: this needs Debian 12 (apt-get is missing); install by hand: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: not root and no sudo; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "install-deps: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
  "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
}
if ! install >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "install-deps: apt-get failed; its last lines are above" >&2
  exit 1
fi
