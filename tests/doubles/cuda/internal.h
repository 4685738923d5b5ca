// What the files of libcuda's double share.
#pragma once
#include "driver.h"

#include <pthread.h>

#define DEVICES 8

struct stream;

struct context {
    int alive, device, primary, references;
    struct stream *legacy; // the default stream, made when first used
};

// A point in a stream's work.
struct ticket {
    struct stream *stream;
    uint64_t number;
};

// Prologue of a call that needs a context: initialised, current, its device alive.
CUresult enter(struct context **context);
CUresult context_error(const struct context *context);
struct context *context_of(CUcontext handle);
CUresult initialised(void);
DOUBLE_EXPORT tcuDeviceGetCount cuDeviceGetCount;
DOUBLE_EXPORT tcuDeviceComputeCapability cuDeviceComputeCapability;

// memory.c
CUresult memory_init(void);
int memory_is_device(uint64_t address);
enum block_use { BLOCK_INTERNAL, BLOCK_PLAIN, BLOCK_POOLED };
CUresult memory_alloc(struct context *context, size_t bytes, enum block_use use, CUdeviceptr *address);
CUresult memory_free(CUdeviceptr address);
void memory_free_context(const struct context *context);
void memory_used(int device, size_t *used, size_t *total);
// Kernels see device memory at its own addresses between these two.
void memory_open_for_kernel(void);
void memory_close_for_kernel(void);
// Runs a kernel so that an address it must not touch gives CUDA_ILLEGAL_ADDRESS and not the process's end.
CUresult memory_guarded(void (*run)(void *), void *argument);

// pinned.c: page-locked host memory, which copies may read after the call has returned
int pinned_covers(const void *address, size_t bytes);

// stream.c
struct ticket stream_submit(struct stream *stream, double_work *run, void *argument, const struct ticket *after, size_t after_count);
void stream_wait_ticket(struct ticket ticket);
int stream_done(struct ticket ticket);
CUresult stream_of(struct context *context, CUstream handle, struct stream **stream);
struct ticket stream_last(struct stream *stream);
void streams_drain(const struct context *context);
void streams_retire(const struct context *context);
