// The kernels for the CPU, behind functions that take what cuLaunchKernel takes:
//   void cpu_launch_<entry>(grid x, y, z, block x, y, z, params); unsigned cpu_sizeof_<struct>(void).
#define HEADEND_KERNELS_CPU
#include "../ladder.cu"

#include <cstring>

#include "entries.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// The parameter may lie at any address, as a driver's may.
#define LAUNCHER(entry, Job)                                                                                               \
  EXPORT void cpu_launch_##entry(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, void** params) { \
    Job job;                                                                                                               \
    memcpy(&job, params[0], sizeof job);                                                                                   \
    const u32 grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};                                                             \
    launch<const Job>(entry, job, grid, block);                                                                            \
  }
ENTRIES(LAUNCHER)

#define SIZE(Struct) \
  EXPORT unsigned cpu_sizeof_##Struct(void) { return sizeof(Struct); }
STRUCTS(SIZE)
