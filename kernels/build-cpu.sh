#!/usr/bin/env bash
# build-cpu.sh OUTDIR: builds the kernels for the CPU into OUTDIR/libheadend-kernels-cpu.so, and OUTDIR/drive-kernels, which runs them on files.
# Does nothing where both are newer than every source.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
library=$out/libheadend-kernels-cpu.so
driver=$out/drive-kernels
compiler=${CXX:-g++}

newest() { find "$here" -type f ! -name '*.ptx' -newer "$1" -print -quit; }
if [ -e "$library" ] && [ -e "$driver" ] && [ -z "$(newest "$library")" ] && [ -z "$(newest "$driver")" ]; then exit 0; fi

# Built beside and moved, so that whoever has the old one open keeps it.
work=$(mktemp -d "$out/.kernels.XXXXXX")
trap 'rm -rf "$work"' EXIT
# For this computer only: the library is a stand-in that is built where it runs, and twice as fast so.
flags=(-std=c++17 -O2 -march=native -fopenmp-simd -fno-strict-aliasing -Wall -Wextra)
"$compiler" "${flags[@]}" -fPIC -shared -fvisibility=hidden -Wl,-soname,libheadend-kernels-cpu.so "$here/cpu/library.cpp" -o "$work/libheadend-kernels-cpu.so"
"$compiler" "${flags[@]}" "$here/cpu/drive.cpp" "$work/libheadend-kernels-cpu.so" -Wl,-rpath,'$ORIGIN' -o "$work/drive-kernels"
mv "$work/libheadend-kernels-cpu.so" "$library"
mv "$work/drive-kernels" "$driver"
