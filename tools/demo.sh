#!/usr/bin/env bash
# The whole of ckpstore in one sitting, on real data: a model trains, is killed three times, resumes,
# and ends with exactly the weights of a run that was never stopped; then the tool looks at what it left.
#
#   tools/demo.sh            from a bare clone; installs what is missing (Debian 12)
#
# CKPSTORE_DEMO_SEED repeats the same kill times.
set -euo pipefail
cd "$(dirname "$0")/.."

seed=${CKPSTORE_DEMO_SEED:-$$}
RANDOM=$((seed % 32768))
work=$(mktemp -d "${TMPDIR:-/tmp}/ckpstore-demo.XXXXXX")
store=$work/store
trap 'rm -rf "$work"' EXIT

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }

step "1. Build (installing what is missing)"
tools/install-deps.sh
cmake --preset release >"$work/configure.log" ||
  { cat "$work/configure.log" >&2; fail "cmake failed"; }
cmake --build --preset release --target ckptool train_fashion_mnist
PATH="$PWD/build/release/bin:$PATH"

options=(--store "$store" --epochs 4 --train-size 3200 --batch-size 64 --save-every 25 --seed 7 --threads 1)
digest_of() { sed -n 's/.*"weights_digest": *"\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }

step "2. Run A: train without interruption"
show train_fashion_mnist "${options[@]}" --run A --json | tee "$work/a.json"
digest_a=$(digest_of "$work/a.json")
[ -n "$digest_a" ] || fail "run A printed no digest"

step "3. Run B: the same, killed by SIGKILL three times (seed $seed) and resumed"
checkpoints() { find "$store/runs" -path '*/b-*' -name '*.ckp' 2>/dev/null | wc -l; }
for kill in 1 2 3; do
  before=$(checkpoints)
  train_fashion_mnist "${options[@]}" --run B --resume >>"$work/b.log" 2>&1 &
  trainer=$!
  # Wait for a new checkpoint, then strike at a random moment of the next 600 ms.
  wanted=$((before + 1))
  while [ "$(checkpoints)" -lt "$wanted" ] && kill -0 "$trainer" 2>/dev/null; do sleep 0.02; done
  sleep "0.$(printf '%03d' $((RANDOM % 600)))"
  kill -KILL "$trainer" 2>/dev/null || fail "the trainer ended before kill $kill"
  wait "$trainer" 2>/dev/null || true
  echo "kill $kill: SIGKILL after $(checkpoints) checkpoints"
done
show train_fashion_mnist "${options[@]}" --run B --resume --json | tee "$work/b.json"
digest_b=$(digest_of "$work/b.json")
echo
echo "weights of A: $digest_a"
echo "weights of B: $digest_b"
[ "$digest_a" = "$digest_b" ] || fail "the weights differ"
echo "equal, bit for bit"

step "4. What the store knows (B's checkpoints are small: their chunks are A's, bit for bit)"
show ckptool runs "$store"
show ckptool ls "$store" B
show ckptool best "$store" B val/loss
show ckptool show "$store" B@best | head -n 30

step "5. What changed between two epochs"
show ckptool diff "$store" A@1 A@2 --only 'model/*' --limit 4

step "6. A sweep of three short runs, and a page about all of it"
for lr in 0.0003 0.001 0.003; do
  train_fashion_mnist --store "$store" --run "sweep-lr$lr" --lr "$lr" --epochs 2 --train-size 1600 \
    --batch-size 64 --seed 7 --threads 1 >"$work/sweep.log" ||
    { cat "$work/sweep.log" >&2; fail "the run with --lr $lr failed"; }
done
show ckptool runs "$store" --where "name like 'sweep-%'" --order-by metrics.val/loss:min \
  --columns params.lr,metrics.val/loss.min,duration_hours
report=build/demo-report.html
show ckptool report "$store" --output "$report"

step "7. Verify every byte; then flip one byte of a copy"
show ckptool verify "$store"
pack=$(find "$store/runs" -path '*/a-*' -name '*.ckp' | sort | tail -n 1)
cp "$pack" "$work/flipped.ckp"
at=$(($(stat -c %s "$pack") / 3))
old=$(od -An -tu1 -j "$at" -N 1 "$pack")
printf "\\x$(printf %02x $((old ^ 1)))" | dd of="$work/flipped.ckp" bs=1 seek="$at" conv=notrunc status=none
echo "byte $at of a copy of $(basename "$pack"): one bit flipped"
status=0
show ckptool verify "$work/flipped.ckp" || status=$?
[ "$status" -eq 4 ] || fail "verify ended with $status, expected 4 (damage found)"

step "8. Prune: first what would happen, then for real"
policy=(--keep-last 1 --keep-best 1:val/loss:min)
show ckptool prune "$store" "${policy[@]}" --dry-run
before=$(du -sb "$store/runs" | cut -f 1)
show ckptool prune "$store" "${policy[@]}" --quiet
after=$(du -sb "$store/runs" | cut -f 1)
echo "runs/ had $before bytes, now $after: $((before - after)) freed"
show ckptool ls "$store" B
show ckptool verify "$store"

step "9. Convert the best to safetensors and back"
show ckptool convert "$store" B@best "$work/best.safetensors"
show ckptool convert "$work/best.safetensors" "$work/back.ckp"
total() { ckptool digest "$@" --part model | awk '/ total,/ { print $1 }'; }
there=$(total "$store" B@best)
back=$(total "$work/back.ckp")
echo "model in the store: $there"
echo "model after both:   $back"
[ -n "$there" ] && [ "$there" = "$back" ] || fail "the model changed on the way"

step "Done: nothing was lost, and everything verifies"
echo "The page is still there: open $report in a browser"
