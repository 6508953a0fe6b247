#!/usr/bin/env bash
# Installs the package into a scratch place, builds this project against it, and runs it. With
# LibTorch, the README's first program is built too, and must print what the README says.
#
#   run.sh BUILD_DIR WITH_LIBTORCH(0|1)
set -euo pipefail
build=$1
with_libtorch=$2
here=$(cd "$(dirname "$0")" && pwd)
readme=$here/../../README.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The first block of a language in the README.
block() { awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```/ && inside { exit } inside' "$readme"; }

program=
if [ "$with_libtorch" = 1 ]; then
  program=$scratch/readme.cc
  block cpp >"$program"
  block text >"$scratch/expected"
fi

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" -DREADME_PROGRAM="$program"
cmake --build "$scratch/build"
test -f "$scratch/prefix/share/man/man1/ckptool.1"
[ "$("$scratch/build/consumer" "$scratch/store")" = "4000 bytes of step 10" ]
"$scratch/prefix/bin/ckptool" verify "$scratch/store"
if [ "$with_libtorch" = 1 ]; then
  cd "$scratch"
  build/readme | tee printed
  diff expected printed
  "$scratch/prefix/bin/ckptool" verify linear.ckp
fi
echo "consumer: passed"
