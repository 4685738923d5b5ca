// From one YCbCr matrix and range to another, in place: what a thread reads is what it alone writes.
// Luma takes the chroma sample of its own two by two block; chroma depends on chroma alone, because grey stays grey.
#pragma once

#include "jobs.h"
#include "sample.h"

// Chroma samples of a block across and down.
enum { RECOLOR_COLUMNS = 64, RECOLOR_ROWS = 16, RECOLOR_BITS = 16 };

template <class Depth>
DEVICE void recolor_luma(const RecolorJob& job, i32 column, i32 row, i32 cb, i32 cr) {
  const i32 of_chroma = job.to_luma[1] * cb + job.to_luma[2] * cr + job.to_luma[3];
  for (i32 y = 2 * row; y < least(2 * row + 2, job.height); y++) {
    typename Depth::Stored* luma = row_of<Depth>(job.luma, job.pitch, y);
    for (i32 x = 2 * column; x < least(2 * column + 2, job.width); x++) {
      luma[x] = stored_of<Depth>((job.to_luma[0] * sample_of<Depth>(luma[x]) + of_chroma) >> RECOLOR_BITS);
    }
  }
}

template <class Depth>
DEVICE void recolor(const RecolorJob& job) {
  const i32 end_x = least((block_x() + 1) * RECOLOR_COLUMNS, (job.width + 1) / 2);
  const i32 end_y = least((block_y() + 1) * RECOLOR_ROWS, (job.height + 1) / 2);
  for (i32 y = block_y() * RECOLOR_ROWS + thread_y(); y < end_y; y += threads_y()) {
    typename Depth::Stored* chroma = row_of<Depth>(job.chroma, job.pitch, y);
    for (i32 x = block_x() * RECOLOR_COLUMNS + thread_x(); x < end_x; x += threads_x()) {
      const i32 cb = sample_of<Depth>(chroma[2 * x]), cr = sample_of<Depth>(chroma[2 * x + 1]);
      recolor_luma<Depth>(job, x, y, cb, cr);
      chroma[2 * x] = stored_of<Depth>((job.to_cb[0] * cb + job.to_cb[1] * cr + job.to_cb[2]) >> RECOLOR_BITS);
      chroma[2 * x + 1] = stored_of<Depth>((job.to_cr[0] * cb + job.to_cr[1] * cr + job.to_cr[2]) >> RECOLOR_BITS);
    }
  }
}
