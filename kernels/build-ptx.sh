#!/usr/bin/env bash
# build-ptx.sh FILE: writes the kernels' PTX into FILE. A bare clang does it, without a CUDA toolkit; only this version gives the bytes that
# are checked in. PTX 5.0 for sm_60: every driver since CUDA 8 compiles it for the card that it finds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
compiler=${KERNELS_CLANG:-clang++-14}
command -v "$compiler" >/dev/null || { echo "no $compiler on the PATH: apt-get install clang-14 (make test-deps does)" >&2; exit 1; }
cd "$here"
"$compiler" -x cuda --cuda-device-only -nocudainc -nocudalib --cuda-gpu-arch=sm_60 -std=c++14 -O3 -Wall -Wextra -Werror \
  -Wno-unused-command-line-argument -S ladder.cu -o "$out"
