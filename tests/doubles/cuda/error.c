// Names of statuses, and the entry points that clients look up but the double does not serve.
#include "internal.h"

#include <dlfcn.h>

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {205, "CUDA_ERROR_MAP_FAILED", "mapping of buffer object failed"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {218, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "part or all of the requested memory range is already mapped"},
    {713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "pointer does not correspond to a registered memory region"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

static CUresult describe(CUresult code, const char **text, int name) {
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        if (errors[i].code != (int)code) continue;
        *text = name ? errors[i].name : errors[i].text;
        return CUDA_SUCCESS;
    }
    *text = NULL;
    return (CUresult)CUDA_INVALID_VALUE;
}

DOUBLE_EXPORT CUresult cuGetErrorName(CUresult code, const char **text) {
    return describe(code, text, 1);
}

DOUBLE_EXPORT CUresult cuGetErrorString(CUresult code, const char **text) {
    return describe(code, text, 0);
}

DOUBLE_EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *found) {
    (void)version, (void)flags;
    char later[128];
    *function = NULL;
    if (__builtin_snprintf(later, sizeof later, "%s_v2", name) < (int)sizeof later) *function = dlsym(RTLD_DEFAULT, later);
    if (!*function) *function = dlsym(RTLD_DEFAULT, name);
    if (found) *found = *function ? 0 : 1;
    return *function ? CUDA_SUCCESS : (CUresult)CUDA_NOT_FOUND;
}

// ffmpeg refuses the library when one of these is missing, and calls none of them on the paths that the doubles serve.
#define NOT_SERVED(name)                                                                                                       \
    DOUBLE_EXPORT CUresult name(void) { return (CUresult)CUDA_NOT_SUPPORTED; }
NOT_SERVED(cuLinkCreate)
NOT_SERVED(cuLinkCreate_v2)
NOT_SERVED(cuLinkAddData)
NOT_SERVED(cuLinkAddData_v2)
NOT_SERVED(cuLinkComplete)
NOT_SERVED(cuLinkDestroy)
NOT_SERVED(cuTexObjectCreate)
NOT_SERVED(cuTexObjectDestroy)
NOT_SERVED(cuArray3DCreate_v2)
NOT_SERVED(cuArrayDestroy)
NOT_SERVED(cuArray3DGetDescriptor_v2)
NOT_SERVED(cuArrayGetPlane)
NOT_SERVED(cuArrayCreate_v2)
NOT_SERVED(cuGLGetDevices_v2)
NOT_SERVED(cuGraphicsGLRegisterImage)
NOT_SERVED(cuGraphicsUnregisterResource)
NOT_SERVED(cuGraphicsMapResources)
NOT_SERVED(cuGraphicsUnmapResources)
NOT_SERVED(cuGraphicsSubResourceGetMappedArray)
NOT_SERVED(cuGraphicsResourceGetMappedPointer_v2)

PROTOTYPE(cuGetErrorName);
PROTOTYPE(cuGetErrorString);
