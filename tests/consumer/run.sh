#!/usr/bin/env bash
# Installs the package into a scratch place, builds this project against it, and runs it.
#
#   run.sh BUILD_DIR WITH_LIBTORCH(ON|OFF)
set -euo pipefail
build=$1
with_libtorch=$2
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" -DWITH_LIBTORCH="$with_libtorch"
cmake --build "$scratch/build"
[ "$("$scratch/build/consumer" "$scratch/store")" = "4000 bytes of step 10" ]
"$scratch/prefix/bin/ckptool" verify "$scratch/store"
if [ "$with_libtorch" = ON ]; then
  "$scratch/build/consumer_libtorch" "$scratch/model.ckp"
  "$scratch/prefix/bin/ckptool" verify "$scratch/model.ckp"
fi
test -f "$scratch/prefix/share/man/man1/ckptool.1"
