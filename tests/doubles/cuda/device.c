// Initialisation and what a client may ask about a device.
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int device_count(void) {
    long count = double_setting("cuda.devices", ANY_DEVICE, 1);
    return count < 0 ? 0 : count > DEVICES ? DEVICES : (int)count;
}

// Counts the processes that started, for a device that does not come back after a restart.
static long count_start(void) {
    int fd = double_state_fd(STATE_STARTS);
    char text[32] = "";
    if (fd < 0) return 1;
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fcntl(fd, F_SETLKW, &range) != 0) return 1;
    if (pread(fd, text, sizeof text - 1, 0) < 0) text[0] = 0;
    long starts = atol(text) + 1;
    int length = snprintf(text, sizeof text, "%ld\n", starts);
    (void)!pwrite(fd, text, (size_t)length, 0);
    range.l_type = F_UNLCK;
    fcntl(fd, F_SETLK, &range);
    return starts;
}

static CUresult start(void) {
    long code = double_fault("cuda.init", ANY_DEVICE, CUDA_NO_DEVICE);
    long survives = double_setting("cuda.gone_after_starts", ANY_DEVICE, 0);
    if (code) return (CUresult)code;
    long starts = count_start();
    if (survives && starts > survives) {
        double_fired("cuda.gone_after_starts");
        return (CUresult)CUDA_NO_DEVICE;
    }
    if (device_count() == 0) {
        double_fired("cuda.devices");
        return (CUresult)CUDA_NO_DEVICE;
    }
    return memory_init();
}

DOUBLE_EXPORT CUresult cuInit(unsigned flags) {
    CUresult status = CUDA_SUCCESS;
    if (flags) return (CUresult)CUDA_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    if (!ready) status = start();
    if (!status) ready = 1;
    pthread_mutex_unlock(&lock);
    return status;
}

CUresult initialised(void) {
    return ready ? CUDA_SUCCESS : (CUresult)CUDA_NOT_INITIALIZED;
}

static CUresult check_device(CUdevice device) {
    if (!ready) return (CUresult)CUDA_NOT_INITIALIZED;
    return device >= 0 && device < device_count() ? CUDA_SUCCESS : (CUresult)CUDA_INVALID_DEVICE;
}

DOUBLE_EXPORT CUresult cuDriverGetVersion(int *version) {
    if (!version) return (CUresult)CUDA_INVALID_VALUE;
    *version = (int)double_setting("cuda.driver", ANY_DEVICE, 12020);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDeviceGetCount(int *count) {
    if (!ready) return (CUresult)CUDA_NOT_INITIALIZED;
    *count = device_count();
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    CUresult status = check_device(ordinal);
    if (!status) *device = ordinal;
    return status;
}

DOUBLE_EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    CUresult status = check_device(device);
    if (status) return status;
    if (length <= 0) return (CUresult)CUDA_INVALID_VALUE;
    snprintf(name, (size_t)length, "Double of a GPU %d", device);
    return CUDA_SUCCESS;
}

static CUresult device_uuid(CUuuid *uuid, CUdevice device) {
    CUresult status = check_device(device);
    if (status) return status;
    memset(uuid->bytes, 0x42, sizeof uuid->bytes);
    uuid->bytes[15] = (char)device;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDeviceGetUuid(CUuuid *uuid, CUdevice device) {
    return device_uuid(uuid, device);
}

DOUBLE_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device) {
    return device_uuid(uuid, device);
}

DOUBLE_EXPORT CUresult cuDeviceGetPCIBusId(char *text, int length, CUdevice device) {
    CUresult status = check_device(device);
    if (status) return status;
    if (length < 13) return (CUresult)CUDA_INVALID_VALUE;
    snprintf(text, (size_t)length, "0000:%02x:00.0", (unsigned)(device + 1) & 0xff);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuDeviceGetByPCIBusId(CUdevice *device, const char *text) {
    unsigned domain, bus;
    if (!ready) return (CUresult)CUDA_NOT_INITIALIZED;
    if (!text || sscanf(text, "%x:%x", &domain, &bus) != 2 || domain || !bus) return (CUresult)CUDA_INVALID_VALUE;
    return cuDeviceGet(device, (int)bus - 1);
}

DOUBLE_EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    size_t used;
    CUresult status = check_device(device);
    if (!status) memory_used(device, &used, bytes);
    return status;
}

// Numbers of an RTX A4000 or its like (compute capability 8.6); 2 to 10 and 81 to 97 are not in the header.
static int attribute(int which, int device) {
    long compute = double_setting("cuda.compute", device, 86);
    switch (which) {
    case 1: return 1024;                       // threads per block
    case 2: case 3: return 1024;               // block x, y
    case 4: return 64;                         // block z
    case 5: return 2147483647;                 // grid x
    case 6: case 7: return 65535;              // grid y, z
    case 8: return 49152;                      // shared memory per block
    case 9: return 65536;                      // constant memory
    case 10: return 32;                        // warp
    case 11: return 2147483647;                // pitch
    case 12: return 65536;                     // registers per block
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1560000;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT: return 512;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 48;
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: return 1;
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS: return 1;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return device + 1;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 7001000;
    case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: return 256;
    case 38: return 4194304;                   // second-level cache
    case 39: return 1536;                      // threads per multiprocessor
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: return 2;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: return 1;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT: return 32;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return (int)compute / 10;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return (int)compute % 10;
    case 78: return 1;                         // stream priorities
    case 81: return 102400;                    // shared memory per multiprocessor
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY: return 1;
    case 97: return 101376;                    // shared memory per block, opted in
    default: return 0;
    }
}

DOUBLE_EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
    CUresult status = check_device(device);
    if (!status) *value = attribute((int)which, device);
    return status;
}

DOUBLE_EXPORT CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice device) {
    CUresult status = check_device(device);
    if (status) return status;
    *major = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
    *minor = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device);
    return CUDA_SUCCESS;
}

PROTOTYPE(cuInit);
PROTOTYPE(cuDeviceGetCount);
PROTOTYPE(cuDeviceGet);
PROTOTYPE(cuDeviceGetName);
PROTOTYPE(cuDeviceGetUuid);
PROTOTYPE(cuDeviceGetAttribute);
PROTOTYPE(cuDeviceComputeCapability);
