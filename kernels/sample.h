// How samples are stored: 8 bits in a byte (NV12), 10 bits in the upper part of 16 (P010).
#pragma once

#include "machine.h"

struct Eight {
  typedef u8 Stored;
  static constexpr i32 BITS = 8, SHIFT = 0, LARGEST = 255;
};

struct Ten {
  typedef u16 Stored;
  static constexpr i32 BITS = 10, SHIFT = 6, LARGEST = 1023;
};

template <class Depth>
DEVICE i32 sample_of(typename Depth::Stored stored) {
  return (i32)stored >> Depth::SHIFT;
}

template <class Depth>
DEVICE typename Depth::Stored stored_of(i32 sample) {
  return (typename Depth::Stored)(most(0, least(sample, Depth::LARGEST)) << Depth::SHIFT);
}

template <class Depth>
DEVICE typename Depth::Stored* row_of(u64 plane, u32 pitch, i32 row) {
  return (typename Depth::Stored*)(plane + (u64)row * pitch);
}
