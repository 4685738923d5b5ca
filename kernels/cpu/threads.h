// A block of real threads and a real barrier, so that ThreadSanitizer sees a missing one. DROP_SYNC leaves out the barrier of that number.
#pragma once

#include <pthread.h>

#include <thread>
#include <vector>

#ifndef DROP_SYNC
#define DROP_SYNC 0
#endif

#define KERNEL(name) static void name
#define DEVICE static inline
#define VECTOR_LOOP
#define RARE_LOOP VECTOR_LOOP
#define BARRIER(number)                                          \
  do {                                                           \
    if ((number) != DROP_SYNC) pthread_barrier_wait(&all_threads); \
  } while (0)

struct Place {
  i32 thread[2];
  i32 threads[2];
  i32 block[3];
};

alignas(16) static u8 shared_memory[SHARED_BYTES];
static pthread_barrier_t all_threads;
static thread_local Place place;

DEVICE i32 thread_x() { return place.thread[0]; }
DEVICE i32 thread_y() { return place.thread[1]; }
DEVICE i32 threads_x() { return place.threads[0]; }
DEVICE i32 threads_y() { return place.threads[1]; }
DEVICE i32 block_x() { return place.block[0]; }
DEVICE i32 block_y() { return place.block[1]; }
DEVICE i32 block_z() { return place.block[2]; }

DEVICE void add_u32(u32* to, u32 value) { __atomic_fetch_add(to, value, __ATOMIC_RELAXED); }
DEVICE void add_u64(u64* to, u64 value) { __atomic_fetch_add(to, value, __ATOMIC_RELAXED); }

// Blocks share the memory that a device gives each of its own, so they come one after another.
template <class Job>
static void launch(void (*kernel)(Job), const Job& job, const u32 grid[3], const u32 threads[3]) {
  pthread_barrier_init(&all_threads, nullptr, threads[0] * threads[1]);
  auto run = [&](u32 thread) {
    place.threads[0] = threads[0], place.threads[1] = threads[1];
    place.thread[0] = thread % threads[0], place.thread[1] = thread / threads[0];
    for (u32 block = 0; block < grid[0] * grid[1] * grid[2]; block++) {
      place.block[0] = block % grid[0], place.block[1] = block / grid[0] % grid[1], place.block[2] = block / grid[0] / grid[1];
      kernel(job);
      pthread_barrier_wait(&all_threads);
    }
  };
  std::vector<std::thread> running;
  for (u32 thread = 0; thread < threads[0] * threads[1]; thread++) running.emplace_back(run, thread);
  for (auto& thread : running) thread.join();
  pthread_barrier_destroy(&all_threads);
}
