// Allocation of device memory and of page-locked host memory.
#include "internal.h"

#include <stdlib.h>
#include <sys/mman.h>

#define PINNED 1024

static struct {
    char *address;
    size_t bytes;
    int registered;
} pinned[PINNED];
static size_t pinned_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static CUresult allocate(CUdeviceptr *address, size_t bytes, enum block_use use) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!address || !bytes) return (CUresult)CUDA_INVALID_VALUE;
    long code = double_fault("cuda.alloc", context->device, CUDA_OUT_OF_MEMORY);
    if (code) return (CUresult)code;
    return memory_alloc(context, bytes, use, address);
}

DOUBLE_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    return allocate(address, bytes, BLOCK_PLAIN);
}

DOUBLE_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height, unsigned element) {
    if (!width || !height || (element != 4 && element != 8 && element != 16)) return (CUresult)CUDA_INVALID_VALUE;
    *pitch = (width + 511) & ~(size_t)511;
    return allocate(address, *pitch * height, BLOCK_PLAIN);
}

DOUBLE_EXPORT CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned flags) {
    (void)address, (void)bytes, (void)flags;
    return (CUresult)CUDA_NOT_SUPPORTED;
}

// Freeing waits for the device, as the driver does.
DOUBLE_EXPORT CUresult cuMemFree_v2(CUdeviceptr address) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!address) return CUDA_SUCCESS;
    streams_drain(context);
    return memory_free(address);
}

// The stream-ordered allocator: here the memory is there at once, which no client may count on.
DOUBLE_EXPORT CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream) {
    (void)stream;
    return allocate(address, bytes, BLOCK_POOLED);
}

DOUBLE_EXPORT CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    struct context *context;
    struct stream *stream;
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, handle, &stream);
    if (status) return status;
    stream_wait_ticket(stream_last(stream));
    return memory_free(address);
}

DOUBLE_EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes) {
    struct context *context;
    size_t used;
    CUresult status = enter(&context);
    if (status) return status;
    memory_used(context->device, &used, total_bytes);
    *free_bytes = *total_bytes - used;
    return CUDA_SUCCESS;
}

int pinned_covers(const void *address, size_t bytes) {
    int covers = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < pinned_count && !covers; i++)
        covers = (char *)address >= pinned[i].address && (char *)address + bytes <= pinned[i].address + pinned[i].bytes;
    pthread_mutex_unlock(&lock);
    return covers;
}

static CUresult remember(void *address, size_t bytes, int registered) {
    CUresult status = (CUresult)CUDA_OUT_OF_MEMORY;
    pthread_mutex_lock(&lock);
    if (pinned_count < PINNED) {
        pinned[pinned_count].address = address;
        pinned[pinned_count].bytes = bytes;
        pinned[pinned_count++].registered = registered;
        status = CUDA_SUCCESS;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

// The bytes that were pinned at `address`, 0 where none were.
static size_t forget(void *address, int registered) {
    size_t bytes = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < pinned_count && !bytes; i++) {
        if (pinned[i].address != address || pinned[i].registered != registered) continue;
        bytes = pinned[i].bytes;
        pinned[i] = pinned[--pinned_count];
    }
    pthread_mutex_unlock(&lock);
    return bytes;
}

DOUBLE_EXPORT CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!address || !bytes || flags > 7) return (CUresult)CUDA_INVALID_VALUE;
    long code = double_fault("cuda.host_alloc", context->device, CUDA_OUT_OF_MEMORY);
    if (code) return (CUresult)code;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return (CUresult)CUDA_OUT_OF_MEMORY;
    *address = memory;
    double_count(COUNT_host_allocations, 1);
    return remember(memory, bytes, 0);
}

DOUBLE_EXPORT CUresult cuMemAllocHost_v2(void **address, size_t bytes) {
    return cuMemHostAlloc(address, bytes, 0);
}

DOUBLE_EXPORT CUresult cuMemFreeHost(void *address) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    streams_drain(context);
    size_t bytes = forget(address, 0);
    if (!bytes) return (CUresult)CUDA_INVALID_VALUE;
    munmap(address, bytes);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned flags) {
    struct context *context;
    CUresult status = enter(&context);
    (void)flags;
    if (status) return status;
    if (!address || !bytes) return (CUresult)CUDA_INVALID_VALUE;
    if (pinned_covers(address, 1)) return (CUresult)CUDA_HOST_MEMORY_ALREADY_REGISTERED;
    return remember(address, bytes, 1);
}

DOUBLE_EXPORT CUresult cuMemHostUnregister(void *address) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    return forget(address, 1) ? CUDA_SUCCESS : (CUresult)CUDA_HOST_MEMORY_NOT_REGISTERED;
}

DOUBLE_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned flags) {
    if (flags || !pinned_covers(address, 1)) return (CUresult)CUDA_INVALID_VALUE;
    *device = (CUdeviceptr)address;
    return CUDA_SUCCESS;
}

PROTOTYPE(cuMemAlloc_v2);
PROTOTYPE(cuMemAllocPitch_v2);
PROTOTYPE(cuMemAllocManaged);
PROTOTYPE(cuMemFree_v2);
