// The fused ladder: one block reads a tile of the source's plane, with what the filters reach beyond it, and writes every rung's samples
// whose centre lies in the tile. Separable filters, across first; between the passes a sample has 14 bits:
//
//   source --window--> across --middle, rows of i16--> down --> rung
//
// The host's tables keep the sum of the magnitudes of a filter's coefficients below 2, so 16 signed bits hold every intermediate sample and
// 32 every sum; and they keep every position within the plane, so nothing is clamped here.
#pragma once

#include "jobs.h"
#include "sample.h"

enum { MIDDLE_BITS = 14, COEFFICIENT_BITS = 14 };

struct Range {
  i32 begin;
  i32 end;
};

template <typename T>
DEVICE const T* table(u64 tables, u32 offset) {
  return (const T*)(tables + offset);
}

DEVICE Range outputs_of(u64 tables, const LadderAxis& axis, i32 tile) {
  const u16* starts = table<u16>(tables, axis.starts);
  Range range = {starts[tile], starts[tile + 1]};
  return range;
}

// The only reads of the source's plane, but for rungs whose filter is wider than any window. The window's rows and columns beyond the
// plane stay as they are: no position points there.
template <class In, int COMPONENTS>
DEVICE void load_window(const LadderPlane& plane, i32 left, i32 top, typename In::Stored* window) {
  const i32 begin_x = most(left, 0), end_x = least(left + plane.window_width, plane.width);
  const i32 begin_y = most(top, 0), end_y = least(top + plane.window_height, plane.height);
  for (i32 y = begin_y + thread_y(); y < end_y; y += threads_y()) {
    const typename In::Stored* from = row_of<In>(plane.samples, plane.pitch, y) + begin_x * COMPONENTS;
    typename In::Stored* to = window + ((y - top) * plane.window_width + begin_x - left) * COMPONENTS;
    const i32 length = (end_x - begin_x) * COMPONENTS;
    VECTOR_LOOP
    for (i32 i = thread_x(); i < length; i += threads_x()) to[i] = from[i];
  }
}

// Rounds where bits are lost; the same as a filter of one tap.
template <class In, class Out>
DEVICE typename Out::Stored converted(typename In::Stored stored) {
  const i32 sample = sample_of<In>(stored);
  const i32 lost = In::BITS - Out::BITS;
  return stored_of<Out>(lost > 0 ? (sample + (1 << lost >> 1)) >> most(lost, 0) : sample << most(-lost, 0));
}

template <class In, class Out, int COMPONENTS>
DEVICE void copy(const LadderPlane& plane, const LadderTarget& target, Range columns, Range rows, i32 left, i32 top,
                 const typename In::Stored* window) {
  const i32 length = (columns.end - columns.begin) * COMPONENTS;
  for (i32 y = rows.begin + thread_y(); y < rows.end; y += threads_y()) {
    const typename In::Stored* from = window + ((y - top) * plane.window_width + columns.begin - left) * COMPONENTS;
    typename Out::Stored* to = row_of<Out>(target.samples, target.pitch, target.top + y) + (target.left + columns.begin) * COMPONENTS;
    VECTOR_LOOP
    for (i32 i = thread_x(); i < length; i += threads_x()) to[i] = converted<In, Out>(from[i]);
  }
}

// Filters rows of the source across into the middle. `from` is the row that the first row of the middle is made of, at column `left`.
template <class In, int COMPONENTS>
DEVICE void across(u64 tables, const LadderAxis& axis, Range columns, i32 rows, const u8* from, u32 pitch, i32 left, i16* middle) {
  const u16* positions = table<u16>(tables, axis.positions) + columns.begin;
  const i16* coefficients = table<i16>(tables, axis.coefficients) + columns.begin;
  const i32 length = (columns.end - columns.begin) * COMPONENTS, taps = axis.taps, stride = axis.samples;
  for (i32 row = thread_y(); row < rows; row += threads_y()) {
    const typename In::Stored* line = (const typename In::Stored*)(from + (u64)row * pitch);
    i16* to = middle + row * length;
    for (i32 i = thread_x(); i < length; i += threads_x()) {
      const i32 column = i / COMPONENTS, component = i % COMPONENTS;
      const typename In::Stored* sample = line + (positions[column] - left) * COMPONENTS + component;
      i32 sum = 1 << (In::BITS + COEFFICIENT_BITS - MIDDLE_BITS - 1);
      for (i32 tap = 0; tap < taps; tap++) sum += sample_of<In>(sample[tap * COMPONENTS]) * coefficients[tap * stride + column];
      to[i] = (i16)(sum >> (In::BITS + COEFFICIENT_BITS - MIDDLE_BITS));
    }
  }
}

// Filters the middle down into the rung. `first` is the source's row that the first row of the middle was made of.
template <class Out, int COMPONENTS>
DEVICE void down(u64 tables, const LadderTarget& target, Range columns, Range rows, i32 first, const i16* middle) {
  const u16* positions = table<u16>(tables, target.y.positions);
  const i16* coefficients = table<i16>(tables, target.y.coefficients);
  const i32 length = (columns.end - columns.begin) * COMPONENTS, taps = target.y.taps, stride = target.y.samples;
  const i32 shift = MIDDLE_BITS + COEFFICIENT_BITS - Out::BITS;
  for (i32 y = rows.begin + thread_y(); y < rows.end; y += threads_y()) {
    const i16* from = middle + (positions[y] - first) * length;
    const i16* coefficient = coefficients + y;
    typename Out::Stored* to = row_of<Out>(target.samples, target.pitch, target.top + y) + (target.left + columns.begin) * COMPONENTS;
    VECTOR_LOOP
    for (i32 i = thread_x(); i < length; i += threads_x()) {
      i32 sum = 1 << (shift - 1);
      for (i32 tap = 0; tap < taps; tap++) sum += (i32)from[tap * length + i] * coefficient[tap * stride];
      to[i] = stored_of<Out>(sum >> shift);
    }
  }
}

template <class Out, int COMPONENTS>
DEVICE void fill(const LadderTarget& target, Range columns, Range rows) {
  const i32 length = (columns.end - columns.begin) * COMPONENTS;
  RARE_LOOP
  for (i32 y = rows.begin + thread_y(); y < rows.end; y += threads_y()) {
    typename Out::Stored* to = row_of<Out>(target.samples, target.pitch, y) + columns.begin * COMPONENTS;
    RARE_LOOP
    for (i32 i = thread_x(); i < length; i += threads_x()) to[i] = (typename Out::Stored)target.black;
  }
}

// Tiles at the source's edges own what lies around the picture on their side, out to the rung's edge.
template <class Out, int COMPONENTS>
DEVICE void fill_around(const LadderPlane& plane, const LadderTarget& target, Range columns, Range rows) {
  const Range across = {target.left + columns.begin, target.left + columns.end};
  const Range down = {target.top + rows.begin, target.top + rows.end};
  const Range all_across = {block_x() == 0 ? 0 : across.begin, block_x() == plane.tiles_across - 1 ? target.width : across.end};
  const Range all_down = {block_y() == 0 ? 0 : down.begin, block_y() == plane.tiles_down - 1 ? target.height : down.end};
  RARE_LOOP
  for (i32 side = 0; side < 4; side++) {  // above, below, before, after
    const Range columns_of_side = {side == 3 ? across.end : all_across.begin, side == 2 ? across.begin : all_across.end};
    const Range rows_of_side = {side == 0 ? all_down.begin : side == 1 ? down.end : down.begin,
                                side == 0 ? down.begin : side == 1 ? all_down.end : down.end};
    fill<Out, COMPONENTS>(target, columns_of_side, rows_of_side);
  }
}

// Every condition around a barrier is the same for all threads of a block.
template <class In, class Out, int COMPONENTS>
DEVICE void scale_into(u64 tables, const LadderPlane& plane, const LadderTarget& target, Range columns, Range rows, i32 left, i32 top,
                       const typename In::Stored* window, i16* middle) {
  const u16* positions = table<u16>(tables, target.y.positions);
  const i32 first = positions[rows.begin], middle_rows = positions[rows.end - 1] + target.y.taps - first;
  for (i32 column = columns.begin; column < columns.end; column += target.chunk_columns) {
    const Range chunk = {column, least(column + target.chunk_columns, columns.end)};
    if (target.mode == LADDER_WINDOW) {
      const u32 pitch = plane.window_width * COMPONENTS * sizeof(typename In::Stored);
      across<In, COMPONENTS>(tables, target.x, chunk, middle_rows, (const u8*)window + (u64)(first - top) * pitch, pitch, left, middle);
    } else {
      const u8* from = (const u8*)row_of<In>(plane.samples, plane.pitch, first);
      across<In, COMPONENTS>(tables, target.x, chunk, middle_rows, from, plane.pitch, 0, middle);
    }
    BARRIER(2);  // the middle is whole
    down<Out, COMPONENTS>(tables, target, chunk, rows, first, middle);
    BARRIER(3);  // the middle may be written again
  }
}

template <class In, class Out, int COMPONENTS>
DEVICE void ladder_plane(const LadderJob& job, const LadderPlane& plane) {
  if (block_x() >= plane.tiles_across || block_y() >= plane.tiles_down) return;
  typename In::Stored* window = (typename In::Stored*)shared_memory;
  i16* middle = (i16*)(shared_memory + plane.middle_offset);
  const i32 left = block_x() * plane.tile_width - plane.halo_left, top = block_y() * plane.tile_height - plane.halo_top;
  load_window<In, COMPONENTS>(plane, left, top, window);
  BARRIER(1);  // the window is whole
  for (i32 rung = 0; rung < job.rungs; rung++) {
    const LadderTarget& target = plane.targets[rung];
    const Range columns = outputs_of(job.tables, target.x, block_x()), rows = outputs_of(job.tables, target.y, block_y());
    fill_around<Out, COMPONENTS>(plane, target, columns, rows);
    if (columns.begin == columns.end || rows.begin == rows.end) continue;
    if (target.mode == LADDER_COPY) {
      copy<In, Out, COMPONENTS>(plane, target, columns, rows, left, top, window);
    } else {
      scale_into<In, Out, COMPONENTS>(job.tables, plane, target, columns, rows, left, top, window, middle);
    }
  }
}

// Blocks: tiles across, tiles down, and two: luma, chroma.
template <class In, class Out>
DEVICE void ladder(const LadderJob& job) {
  if (block_z() == 0) {
    ladder_plane<In, Out, 1>(job, job.planes[0]);
  } else {
    ladder_plane<In, Out, 2>(job, job.planes[1]);
  }
}
