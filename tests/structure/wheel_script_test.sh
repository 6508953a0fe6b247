#!/usr/bin/env bash
# tests/libtorch/wheel.sh is skipped where no package index can be reached, and for no other reason.
# A python3 of ours stands in: it does what FAILS, a list of words, says.
set -euo pipefail
script=$(cd "$(dirname "$0")/../libtorch" && pwd)/wheel.sh
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

mkdir -p "$tree/bin" "$tree/build"
cat >"$tree/bin/python3" <<'END'
#!/usr/bin/env bash
# python3 -m venv DIR, and the DIR/bin/python that it makes: python -m pip ... install|download ...
says() { case " $FAILS " in *" $1 "*) echo "no $1 today" >&2; exit 1 ;; esac; }
if [ "$2" = venv ]; then
  says venv
  mkdir -p "$3/bin"
  cp "$0" "$3/bin/python"
  exit
fi
for word; do
  case $word in install | download) says "$word" ;; esac
done
END
printf '#!/bin/sh\necho "cmake $1"\nexit 5\n' >"$tree/bin/cmake"
chmod +x "$tree"/bin/*

# What fails, the exit code, and what is said.
expect() {
  local status=0
  rm -rf "$tree/wheel"
  FAILS=$1 PATH="$tree/bin:$PATH" "$script" "$tree/wheel" "$tree/build" >"$tree/out" 2>&1 || status=$?
  if [ "$status" -ne "$2" ] || ! grep -qs "$3" "$tree/out" "$tree"/wheel/*.log; then
    echo "with a failing $1: exit code $status, not $2, or this does not say \"$3\":" >&2
    cat "$tree/out" "$tree"/wheel/*.log >&2
    exit 1
  fi
}
expect "install download" 77 "^SKIPPED: .*reaches no package index"
expect "install" 1 "cannot install the wheel"
expect "venv" 1 "python3 -m venv does not work"
expect "" 5 "^cmake --install" # on to the build, which is none here
