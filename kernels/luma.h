// Brightness of a picture as a coarse grid, and what has changed between two grids: what frozen and black pictures are told by.
// The cells, the samples that they are made of, and their values are those of src/codec/software/luma.rs.
#pragma once

#include "jobs.h"
#include "sample.h"

enum { GRID_COLUMNS = 32, GRID_ROWS = 8, CELL_SAMPLES = 4, COMPARED_CELLS = 2048 };

// The sample of a cell, of CELL_SAMPLES evenly spread ones, along a side of `length` cut into `cells`.
DEVICE i32 sample_point(i32 length, i32 cells, i32 cell, i32 sample) {
  const i32 begin = cell * length / cells, end = (cell + 1) * length / cells;
  return begin + (end - begin) * sample / CELL_SAMPLES;
}

template <class Depth>
DEVICE u16 cell_of(const LumaGridJob& job, i32 column, i32 row) {
  u32 sum = 0;
  for (i32 down = 0; down < CELL_SAMPLES; down++) {
    const typename Depth::Stored* line = row_of<Depth>(job.luma, job.pitch, sample_point(job.height, job.rows, row, down));
    for (i32 across = 0; across < CELL_SAMPLES; across++) {
      sum += sample_of<Depth>(line[sample_point(job.width, job.columns, column, across)]);
    }
  }
  // Sixteen samples of so many bits: their sum times 16 is the mean in 256ths of a level of eight bits.
  return (u16)((sum << 4) >> (Depth::BITS - 8));
}

template <class Depth>
DEVICE void luma_grid(const LumaGridJob& job) {
  u16* cells = (u16*)job.cells;
  const i32 end_x = least((block_x() + 1) * GRID_COLUMNS, job.columns), end_y = least((block_y() + 1) * GRID_ROWS, job.rows);
  for (i32 y = block_y() * GRID_ROWS + thread_y(); y < end_y; y += threads_y()) {
    for (i32 x = block_x() * GRID_COLUMNS + thread_x(); x < end_x; x += threads_x()) {
      cells[y * job.columns + x] = cell_of<Depth>(job, x, y);
    }
  }
}

DEVICE void compare_cells(const LumaCompareJob& job) {
  const u16* current = (const u16*)job.current;
  const u16* reference = (const u16*)job.reference;
  LumaComparison* result = (LumaComparison*)job.result;
  const i32 end = least((block_x() + 1) * COMPARED_CELLS, job.cells);
  u32 changed = 0, dark = 0, sum = 0;
  for (i32 i = block_x() * COMPARED_CELLS + thread_y() * threads_x() + thread_x(); i < end; i += threads_x() * threads_y()) {
    const u32 now = current[i], before = reference[i];
    changed += (now > before ? now - before : before - now) > job.noise;
    dark += now <= job.dark;
    sum += now;
  }
  if (changed) add_u32(&result->changed, changed);
  if (dark) add_u32(&result->dark, dark);
  if (sum) add_u64(&result->sum, sum);
}
