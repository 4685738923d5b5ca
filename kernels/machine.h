// What a kernel may ask of the machine it runs on. Kernels name only what is here, so that the same source is compiled for a device by a
// bare clang (no CUDA toolkit) and for the CPU (cpu/), where it gives the same bytes: there is no floating point in it.
//
// A kernel walks its block's work in steps of threads_x() and threads_y(): a block of a single thread is a legal schedule too.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;

// Shared memory that every device gives a block without being asked for more.
#define SHARED_BYTES (48 * 1024)
// Threads of the largest block that the host asks for (32 x 8).
#define BLOCK_THREADS 256

#ifdef HEADEND_KERNELS_CPU
#ifdef HEADEND_KERNELS_THREADS
#include "cpu/threads.h"
#else
#include "cpu/one_thread.h"
#endif
#else

// Three blocks a multiprocessor at least: with less room for registers some cards would spill.
#define KERNEL(name) extern "C" __attribute__((global, launch_bounds(BLOCK_THREADS, 3))) void name
#define DEVICE static inline __attribute__((device, always_inline))
// Loops whose steps do not depend on each other; and those of them that run seldom and shall take no registers from the others.
#define VECTOR_LOOP
#define RARE_LOOP _Pragma("unroll 1")
#define BARRIER(number) __syncthreads()

extern __attribute__((shared, aligned(16))) u8 shared_memory[];

DEVICE i32 thread_x() { return __nvvm_read_ptx_sreg_tid_x(); }
DEVICE i32 thread_y() { return __nvvm_read_ptx_sreg_tid_y(); }
DEVICE i32 threads_x() { return __nvvm_read_ptx_sreg_ntid_x(); }
DEVICE i32 threads_y() { return __nvvm_read_ptx_sreg_ntid_y(); }
DEVICE i32 block_x() { return __nvvm_read_ptx_sreg_ctaid_x(); }
DEVICE i32 block_y() { return __nvvm_read_ptx_sreg_ctaid_y(); }
DEVICE i32 block_z() { return __nvvm_read_ptx_sreg_ctaid_z(); }

DEVICE void add_u32(u32* to, u32 value) { __nvvm_atom_add_gen_i((volatile int*)to, (int)value); }
DEVICE void add_u64(u64* to, u64 value) { __nvvm_atom_add_gen_ll((volatile long long*)to, (long long)value); }

#endif

DEVICE i32 least(i32 one, i32 other) { return one < other ? one : other; }
DEVICE i32 most(i32 one, i32 other) { return one > other ? one : other; }
