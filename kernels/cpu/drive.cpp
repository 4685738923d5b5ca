// drive sizes
//   prints each job's size.
// drive ENTRY JOB MEMORY GX GY GZ BX BY BZ [TIMES]
//   runs an entry on the file MEMORY, which stands for the device's memory, and writes it back. The file JOB is the job, its addresses being
//   offsets into MEMORY. With TIMES it runs as often and prints the microseconds of one run.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#define HEADEND_KERNELS_CPU
#include "../jobs.h"
#include "entries.h"

#define DECLARE(entry, Job) \
  extern "C" void cpu_launch_##entry(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);
ENTRIES(DECLARE)
#define DECLARE_SIZE(Struct) extern "C" unsigned cpu_sizeof_##Struct(void);
STRUCTS(DECLARE_SIZE)

static void move(LadderJob& job, u64 by) {
  job.tables += by;
  for (auto& plane : job.planes) {
    plane.samples += by;
    for (auto& target : plane.targets) target.samples += by;
  }
}
static void move(RecolorJob& job, u64 by) { job.luma += by, job.chroma += by; }
static void move(LumaGridJob& job, u64 by) { job.luma += by, job.cells += by; }
static void move(LumaCompareJob& job, u64 by) { job.current += by, job.reference += by, job.result += by; }

static std::vector<char> contents(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<char>(std::istreambuf_iterator<char>(file), {});
}

typedef void (*Launch)(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void**);

template <class Job>
static int run(Launch launch, char** arguments, int times) {
  std::vector<char> bytes = contents(arguments[0]), memory = contents(arguments[1]);
  Job job;
  if (bytes.size() != sizeof job) return fprintf(stderr, "the job has %zu bytes, not %zu\n", bytes.size(), sizeof job), 2;
  memcpy(&job, bytes.data(), sizeof job);
  move(job, (u64)memory.data());
  unsigned size[6];
  for (int i = 0; i < 6; i++) size[i] = strtoul(arguments[2 + i], nullptr, 10);
  void* params[] = {&job};
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < times; i++) launch(size[0], size[1], size[2], size[3], size[4], size[5], params);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  printf("%.0f\n", took.count() / times);
  std::ofstream(arguments[1], std::ios::binary).write(memory.data(), memory.size());
  return 0;
}

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
#define PRINT_SIZE(Struct) \
  if (what == "sizes") printf(#Struct " %u\n", cpu_sizeof_##Struct());
  STRUCTS(PRINT_SIZE)
  if (what == "sizes") return 0;
  const int times = count > 10 ? atoi(arguments[10]) : 1;
#define RUN(entry, Job) \
  if (what == #entry && count >= 10) return run<Job>(cpu_launch_##entry, arguments + 2, times);
  ENTRIES(RUN)
  fprintf(stderr, "drive sizes | drive ENTRY JOB MEMORY GX GY GZ BX BY BZ [TIMES]\n");
  return 2;
}
