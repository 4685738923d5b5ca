// Contexts: a stack per thread, the primary context of each device with its reference count, and the error a device died of.
#include "internal.h"

#include <string.h>

#define CONTEXTS 256
#define DEPTH 32

static struct context contexts[CONTEXTS]; // slots are not used again at once, so that a stale handle is recognised
static size_t next_slot;
static struct context primaries[DEVICES];
static CUresult device_errors[DEVICES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread struct context *stack[DEPTH];
static __thread int depth;

void double_poison(int device, CUresult code) {
    CUresult none = CUDA_SUCCESS;
    __atomic_compare_exchange_n(&device_errors[device], &none, code, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static CUresult device_error(int device) {
    return __atomic_load_n(&device_errors[device], __ATOMIC_SEQ_CST);
}

CUresult context_error(const struct context *context) {
    return device_error(context->device);
}

struct context *context_of(CUcontext handle) {
    uintptr_t own = (uintptr_t)handle - (uintptr_t)contexts, primary = (uintptr_t)handle - (uintptr_t)primaries;
    int known = (own < sizeof contexts && own % sizeof contexts[0] == 0) || (primary < sizeof primaries &&
        primary % sizeof primaries[0] == 0);
    return known ? (struct context *)handle : NULL;
}

CUresult double_context_status(CUcontext handle) {
    struct context *context = context_of(handle);
    if (!context) return (CUresult)CUDA_INVALID_CONTEXT;
    return context->alive ? context_error(context) : (CUresult)CUDA_CONTEXT_IS_DESTROYED;
}

int double_context_device(CUcontext handle) {
    return ((struct context *)handle)->device;
}

CUresult enter(struct context **context) {
    CUresult status = initialised();
    if (status) return status;
    if (!depth) return (CUresult)CUDA_INVALID_CONTEXT;
    *context = stack[depth - 1];
    return double_context_status((CUcontext)*context);
}

CUresult double_current(CUcontext *context) {
    return enter((struct context **)context);
}

static CUresult push(struct context *context) {
    if (depth == DEPTH) return (CUresult)CUDA_OUT_OF_MEMORY;
    stack[depth++] = context;
    return CUDA_SUCCESS;
}

static CUresult check_device(CUdevice device) {
    int count = 0;
    CUresult status = initialised();
    if (!status) status = cuDeviceGetCount(&count);
    if (!status && (device < 0 || device >= count)) status = (CUresult)CUDA_INVALID_DEVICE;
    return status ? status : device_error(device);
}

DOUBLE_EXPORT CUresult cuCtxCreate_v2(CUcontext *handle, unsigned flags, CUdevice device) {
    CUresult status = check_device(device);
    (void)flags;
    if (status) return status;
    long code = double_fault("cuda.context", device, CUDA_OUT_OF_MEMORY);
    if (code) return (CUresult)code;
    struct context *context = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < CONTEXTS && !context; i++, next_slot = (next_slot + 1) % CONTEXTS)
        if (!contexts[next_slot].alive) context = &contexts[next_slot];
    if (context) *context = (struct context){.alive = 1, .device = device, .references = 1};
    pthread_mutex_unlock(&lock);
    if (!context) return (CUresult)CUDA_OUT_OF_MEMORY;
    *handle = (CUcontext)context;
    return push(context);
}

static void destroy(struct context *context) {
    streams_drain(context);
    streams_retire(context);
    memory_free_context(context);
    context->alive = 0;
    context->legacy = NULL;
}

DOUBLE_EXPORT CUresult cuCtxDestroy_v2(CUcontext handle) {
    struct context *context = context_of(handle);
    if (!context || context->primary) return (CUresult)CUDA_INVALID_CONTEXT;
    if (!context->alive) return (CUresult)CUDA_CONTEXT_IS_DESTROYED;
    destroy(context);
    if (depth && stack[depth - 1] == context) depth--;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext handle) {
    CUresult status = initialised();
    struct context *context = context_of(handle);
    if (status) return status;
    if (!context) return (CUresult)CUDA_INVALID_CONTEXT;
    return context->alive ? push(context) : (CUresult)CUDA_CONTEXT_IS_DESTROYED;
}

DOUBLE_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *handle) {
    if (initialised()) return (CUresult)CUDA_NOT_INITIALIZED;
    if (!depth) return (CUresult)CUDA_INVALID_CONTEXT;
    depth--;
    if (handle) *handle = (CUcontext)stack[depth];
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuCtxSetCurrent(CUcontext handle) {
    CUresult status = initialised();
    struct context *context = context_of(handle);
    if (status) return status;
    if (!handle) {
        if (depth) depth--;
        return CUDA_SUCCESS;
    }
    if (!context || !context->alive) return (CUresult)CUDA_INVALID_CONTEXT;
    if (!depth) return push(context);
    stack[depth - 1] = context;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuCtxGetCurrent(CUcontext *handle) {
    CUresult status = initialised();
    if (!status) *handle = depth ? (CUcontext)stack[depth - 1] : NULL;
    return status;
}

DOUBLE_EXPORT CUresult cuCtxGetDevice(CUdevice *device) {
    struct context *context;
    CUresult status = enter(&context);
    if (!status) *device = context->device;
    return status;
}

DOUBLE_EXPORT CUresult cuCtxSetLimit(CUlimit limit, size_t value) {
    struct context *context;
    (void)limit, (void)value;
    return enter(&context);
}

DOUBLE_EXPORT CUresult cuCtxGetApiVersion(CUcontext handle, unsigned *version) {
    if (handle && !context_of(handle)) return (CUresult)CUDA_INVALID_CONTEXT;
    *version = 3020;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *handle, CUdevice device) {
    CUresult status = check_device(device);
    if (status) return status;
    long code = double_fault("cuda.context", device, CUDA_OUT_OF_MEMORY);
    if (code) return (CUresult)code;
    pthread_mutex_lock(&lock);
    struct context *context = &primaries[device];
    context->alive = context->primary = 1;
    context->device = device;
    context->references++;
    pthread_mutex_unlock(&lock);
    *handle = (CUcontext)context;
    return CUDA_SUCCESS;
}

static CUresult release_primary(CUdevice device) {
    CUresult status = initialised();
    if (status) return status;
    if (device < 0 || device >= DEVICES) return (CUresult)CUDA_INVALID_DEVICE;
    pthread_mutex_lock(&lock);
    struct context *context = &primaries[device];
    int left = context->references ? --context->references : -1;
    pthread_mutex_unlock(&lock);
    if (left < 0) return (CUresult)CUDA_INVALID_CONTEXT;
    if (left == 0) destroy(context);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    return release_primary(device);
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    return release_primary(device);
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned flags) {
    (void)flags;
    return check_device(device);
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
    (void)flags;
    return check_device(device);
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    CUresult status = check_device(device);
    if (status) return status;
    *flags = CU_CTX_SCHED_BLOCKING_SYNC;
    *active = primaries[device].alive;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDevicePrimaryCtxReset(CUdevice device) {
    CUresult status = initialised();
    if (status) return status;
    if (device < 0 || device >= DEVICES) return (CUresult)CUDA_INVALID_DEVICE;
    if (primaries[device].alive) destroy(&primaries[device]);
    return CUDA_SUCCESS;
}

PROTOTYPE(cuCtxCreate_v2);
PROTOTYPE(cuCtxDestroy_v2);
PROTOTYPE(cuCtxPushCurrent_v2);
PROTOTYPE(cuCtxPopCurrent_v2);
PROTOTYPE(cuCtxGetDevice);
PROTOTYPE(cuCtxSetLimit);
PROTOTYPE(cuDevicePrimaryCtxRetain);
PROTOTYPE(cuDevicePrimaryCtxRelease);
PROTOTYPE(cuDevicePrimaryCtxSetFlags);
PROTOTYPE(cuDevicePrimaryCtxGetState);
PROTOTYPE(cuDevicePrimaryCtxReset);
