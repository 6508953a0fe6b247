#!/usr/bin/env bash
# Installs the package into a scratch place, builds this project against it, and runs it. With
# LibTorch, the README's two programs are built too, and must print what the README says.
#
#   run.sh BUILD_DIR WITH_LIBTORCH(0|1)
set -euo pipefail
build=$1
with_libtorch=$2
here=$(cd "$(dirname "$0")" && pwd)
readme=$here/../../README.md
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# block LANGUAGE N: the Nth block of a language in the README.
block() {
  awk -v fence="\`\`\`$1" -v wanted="$2" \
    '$0 == fence { inside = ++n == wanted; next } /^```/ { if (inside) exit } inside' "$readme"
}
# Ids and losses are not the same twice, or with another LibTorch.
steady() { sed -E 's/checkpoint [0-9a-f]{8}/checkpoint ID/; s/(val\/loss) [0-9.]+ at step .*/\1/'; }

programs=
if [ "$with_libtorch" = 1 ]; then
  programs=$scratch
  block cpp 1 >"$scratch/file.cc"
  block text 1 >"$scratch/file.expected"
  block cpp 2 >"$scratch/loop.cc"
  block text 2 | steady >"$scratch/loop.expected"
fi

cmake --install "$build" --prefix "$scratch/prefix" >/dev/null
cmake -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$scratch/prefix" -DREADME_PROGRAMS="$programs"
cmake --build "$scratch/build"
test -f "$scratch/prefix/share/man/man1/ckptool.1"
[ "$("$scratch/build/consumer" "$scratch/store")" = "4000 bytes of step 10" ]
"$scratch/prefix/bin/ckptool" verify "$scratch/store"
if [ "$with_libtorch" = 1 ]; then
  cd "$scratch"
  build/readme_file | tee printed
  diff file.expected printed
  "$scratch/prefix/bin/ckptool" verify linear.ckp
  rm -rf store
  # A job whose time is over stops after its first step.
  SLURM_JOB_END_TIME=1 build/readme_loop
  build/readme_loop | tee printed
  steady <printed | diff loop.expected -
  "$scratch/prefix/bin/ckptool" verify store
fi
echo "consumer: passed"
