// A block of one thread, one block after another: what the tests' driver runs. Dimensions that the compiler knows let it vectorise.
#pragma once

#define KERNEL(name) static void name
#define DEVICE static inline __attribute__((always_inline))
#define VECTOR_LOOP _Pragma("omp simd")
#define RARE_LOOP VECTOR_LOOP
#define BARRIER(number) ((void)0)

// Launches of several threads do not meet.
[[maybe_unused]] alignas(16) static thread_local u8 shared_memory[SHARED_BYTES];
static thread_local i32 current_block[3];

DEVICE i32 thread_x() { return 0; }
DEVICE i32 thread_y() { return 0; }
DEVICE i32 threads_x() { return 1; }
DEVICE i32 threads_y() { return 1; }
DEVICE i32 block_x() { return current_block[0]; }
DEVICE i32 block_y() { return current_block[1]; }
DEVICE i32 block_z() { return current_block[2]; }

DEVICE void add_u32(u32* to, u32 value) { *to += value; }
DEVICE void add_u64(u64* to, u64 value) { *to += value; }

template <class Job>
static void launch(void (*kernel)(Job), const Job& job, const u32 grid[3], const u32[3]) {
  for (u32 block = 0; block < grid[0] * grid[1] * grid[2]; block++) {
    current_block[0] = block % grid[0];
    current_block[1] = block / grid[0] % grid[1];
    current_block[2] = block / grid[0] / grid[1];
    kernel(job);
  }
}
