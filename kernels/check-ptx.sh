#!/usr/bin/env bash
# check-ptx.sh: the checked-in PTX is what the sources give, and ptxas takes it for every architecture without spilling registers.
# Prints registers and shared memory per entry. PTXAS names the assembler; else the one that `make test-deps` installs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
ptxas=${PTXAS:-$(compgen -G "$here/../.kernels/venv/lib/python3*/site-packages/nvidia/cuda_nvcc/bin/ptxas" || true)}
[ -x "$ptxas" ] || { echo "no ptxas: make test-deps installs it into .kernels, or name one in PTXAS" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$here/build-ptx.sh" "$work/ladder.ptx"
if ! cmp "$work/ladder.ptx" "$here/ladder.ptx"; then
  echo "kernels/ladder.ptx is not what the sources give: run make kernels" >&2
  exit 1
fi

failed=0
for architecture in sm_75 sm_80 sm_86 sm_89 sm_90 sm_100 sm_120; do
  if ! "$ptxas" -v -arch="$architecture" "$here/ladder.ptx" -o "$work/cubin" 2>"$work/log"; then
    cat "$work/log" >&2
    failed=1
    continue
  fi
  # One entry takes three lines of the log: its name, its stack and spills, its registers.
  awk -v architecture="$architecture" '
    /Compiling entry function/ { split($0, quoted, "\047"); entry = quoted[2] }
    /bytes stack frame/        { stack = $1; spilled = $5 + $9 }
    /Used [0-9]+ registers/    {
      match($0, /Used [0-9]+/)
      printf "%-7s %-18s %3d registers %3d bytes of stack %3d spilled\n", architecture, entry, substr($0, RSTART + 5, RLENGTH - 5), stack, spilled
      bad += stack + spilled; entries++
    }
    END { exit entries == 0 || bad > 0 }' "$work/log" || { echo "$architecture: registers are spilled, or nothing was compiled" >&2; failed=1; }
done
exit $failed
