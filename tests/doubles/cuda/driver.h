// What libcuda's double offers to its siblings (NVDEC, NVENC, NVML) beside the driver's own interface.
#pragma once
#include "../common/fault.h"

#include <ffnvcodec/dynlink_cuda.h>
#include <stddef.h>

// The header above names few statuses; these are the driver's numbers.
enum {
    CUDA_INVALID_VALUE = 1,
    CUDA_OUT_OF_MEMORY = 2,
    CUDA_NOT_INITIALIZED = 3,
    CUDA_NO_DEVICE = 100,
    CUDA_INVALID_DEVICE = 101,
    CUDA_INVALID_CONTEXT = 201,
    CUDA_NO_BINARY_FOR_GPU = 209,
    CUDA_ECC_UNCORRECTABLE = 214,
    CUDA_INVALID_PTX = 218,
    CUDA_INVALID_HANDLE = 400,
    CUDA_NOT_FOUND = 500,
    CUDA_NOT_READY = 600,
    CUDA_ILLEGAL_ADDRESS = 700,
    CUDA_CONTEXT_IS_DESTROYED = 709,
    CUDA_HOST_MEMORY_ALREADY_REGISTERED = 712,
    CUDA_HOST_MEMORY_NOT_REGISTERED = 713,
    CUDA_LAUNCH_FAILED = 719,
    CUDA_NOT_SUPPORTED = 801,
};

// Fails the compilation where a prototype differs from the one in Debian's headers.
#define PROTOTYPE(function) _Static_assert(__builtin_types_compatible_p(__typeof__(&function), t##function *), #function)

// The calling thread's context; the status says why there is none, or which error its device died of.
DOUBLE_EXPORT CUresult double_current(CUcontext *context);
// A context that a handle keeps: whether it still exists and its device lives.
DOUBLE_EXPORT CUresult double_context_status(CUcontext context);
DOUBLE_EXPORT int double_context_device(CUcontext context);
// The device dies of `code`: every later call answers with it, until the process ends.
DOUBLE_EXPORT void double_poison(int device, CUresult code);

// Device memory that the sibling owns itself (surfaces): not counted as the client's.
DOUBLE_EXPORT CUresult double_device_alloc(CUcontext context, size_t bytes, CUdeviceptr *address);
DOUBLE_EXPORT void double_device_free(CUdeviceptr address);
// 0 where all `bytes` lie in one live allocation, CUDA_ILLEGAL_ADDRESS where they once might have, CUDA_INVALID_VALUE elsewhere.
DOUBLE_EXPORT CUresult double_device_range(CUdeviceptr address, size_t bytes);
// Whether the memory came from cuMemAllocAsync, which NVENC does not register.
DOUBLE_EXPORT int double_device_pooled(CUdeviceptr address);
// Where the doubles may read and write what the client knows as `address`.
DOUBLE_EXPORT void *double_alias(CUdeviceptr address);

// Queues `run(argument)` on a stream as the hardware would; it is called even when the device has died (`status` says of what).
typedef void double_work(void *argument, CUresult status);
DOUBLE_EXPORT CUresult double_enqueue(CUcontext context, CUstream stream, double_work *run, void *argument);
// Waits for the work queued on the stream so far.
DOUBLE_EXPORT CUresult double_wait(CUcontext context, CUstream stream);
// Sleeps up to the configured `cuda.delay_us`, as every queued operation does before it starts.
DOUBLE_EXPORT void double_delay(void);
