// What the host tells a kernel. Mirrored by src/codec/nvidia/ladder/job.rs field by field; no implicit padding.
// Addresses are the device's. Everything is counted in samples of the plane it is about; a chroma sample is a pair.
#pragma once

#include "machine.h"

#define MAX_RUNGS 8

// How the samples of a rung's plane are made along one axis. Offsets are bytes into the tables:
// `starts` u16[tiles + 1], the first output of each tile of the source; `positions` u16[samples], the first source sample of an output;
// `coefficients` i16[taps][samples], 2.14, so that neighbouring threads read neighbouring coefficients.
struct LadderAxis {
  u32 starts;
  u32 positions;
  u32 coefficients;
  i32 samples;
  i32 taps;
};

enum LadderMode {
  LADDER_COPY = 0,    // the source's samples as they are
  LADDER_WINDOW = 1,  // filtered out of the block's window
  LADDER_DIRECT = 2,  // filtered out of the source itself: the filter is wider than any window
};

struct LadderTarget {
  u64 samples;
  u32 pitch;  // bytes
  u32 mode;
  i32 width;
  i32 height;
  i32 left;  // where the picture begins in the plane; around it is black
  i32 top;
  u32 black;          // as stored
  i32 chunk_columns;  // that the intermediate rows have room for
  LadderAxis x;
  LadderAxis y;
};

// One plane of the source: from the crop's first sample on.
struct LadderPlane {
  u64 samples;
  u32 pitch;          // bytes
  u32 middle_offset;  // of the intermediate rows in shared memory, bytes; the window is before them
  i32 width;
  i32 height;
  i32 tile_width;
  i32 tile_height;
  i32 tiles_across;
  i32 tiles_down;
  i32 halo_left;  // of the window around the tile
  i32 halo_top;
  i32 window_width;
  i32 window_height;
  LadderTarget targets[MAX_RUNGS];
};

struct LadderJob {
  u64 tables;
  i32 rungs;
  u32 reserved;
  LadderPlane planes[2];
};

// Rows of 16.16: luma of (Y, Cb, Cr), Cb and Cr of (Cb, Cr); the offset has what is subtracted before, added after, and half a unit.
struct RecolorJob {
  u64 luma;
  u64 chroma;
  u32 pitch;
  i32 width;  // luma samples
  i32 height;
  i32 to_luma[4];
  i32 to_cb[3];
  i32 to_cr[3];
  u32 reserved;
};

struct LumaGridJob {
  u64 luma;
  u64 cells;  // u16[rows][columns], 256ths of an 8-bit level
  u32 pitch;
  i32 width;
  i32 height;
  i32 columns;
  i32 rows;
  u32 reserved;
};

struct LumaComparison {
  u32 changed;
  u32 dark;
  u64 sum;
};

struct LumaCompareJob {
  u64 current;
  u64 reference;
  u64 result;  // LumaComparison, zeroed before the launch
  i32 cells;
  u32 noise;
  u32 dark;
  u32 reserved;
};
