// The double of the management library: as many devices as the CUDA double has, with plausible figures.
#include "../cuda/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NVML_SUCCESS = 0, NVML_UNINITIALIZED = 1, NVML_INVALID_ARGUMENT = 2, NVML_NOT_SUPPORTED = 3, NVML_NOT_FOUND = 6,
    NVML_INSUFFICIENT_SIZE = 7, NVML_GPU_IS_LOST = 15 };

// The library's structs, in the layout of its public header.
struct pci {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};
struct memory {
    unsigned long long total, free, used;
};
struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};
struct utilisation {
    unsigned gpu, memory;
};
struct encoder_session {
    unsigned id, pid;
    unsigned long long vgpu_instance;
    int codec;
    unsigned width, height, average_fps, average_latency_us;
};

static int started;
static char devices[16]; // a handle is the address of a device's element

static int device_count(void) {
    long count = double_setting("cuda.devices", ANY_DEVICE, 1);
    return count < 0 ? 0 : count > (long)sizeof devices ? (int)sizeof devices : (int)count;
}

// Prologue of every call on a device; `status` when it cannot be served.
static int check(const void *handle, int *index) {
    if (!started) return NVML_UNINITIALIZED;
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)devices;
    if (offset >= (uintptr_t)device_count()) return NVML_INVALID_ARGUMENT;
    *index = (int)offset;
    return double_fault("nvml.lost", *index, 1) ? NVML_GPU_IS_LOST : NVML_SUCCESS;
}
#define DEVICE(handle)                                                                                                         \
    int index = 0;                                                                                                             \
    int refused_ = check(handle, &index);                                                                                      \
    if (refused_) return refused_

static int put_text(char *target, unsigned size, const char *text) {
    if (strlen(text) >= size) return NVML_INSUFFICIENT_SIZE;
    strcpy(target, text);
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    started++;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlInit_v2(void) {
    return nvmlInitWithFlags(0);
}

DOUBLE_EXPORT int nvmlShutdown(void) {
    if (!started) return NVML_UNINITIALIZED;
    started--;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT const char *nvmlErrorString(int code) {
    switch (code) {
    case NVML_SUCCESS: return "The operation was successful";
    case NVML_UNINITIALIZED: return "NVML was not first initialized";
    case NVML_INVALID_ARGUMENT: return "A supplied argument is invalid";
    case NVML_NOT_SUPPORTED: return "The requested operation is not available on target device";
    case NVML_NOT_FOUND: return "A query to find an object was unsuccessful";
    case NVML_INSUFFICIENT_SIZE: return "An input argument is not large enough";
    case NVML_GPU_IS_LOST: return "The GPU has fallen off the bus or has otherwise become inaccessible";
    default: return "Unknown error";
    }
}

DOUBLE_EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned size) {
    return started ? put_text(text, size, "535.00.double") : NVML_UNINITIALIZED;
}

DOUBLE_EXPORT int nvmlSystemGetNVMLVersion(char *text, unsigned size) {
    return started ? put_text(text, size, "12.535.00") : NVML_UNINITIALIZED;
}

DOUBLE_EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    *version = (int)double_setting("cuda.driver", ANY_DEVICE, 12020);
    return started ? NVML_SUCCESS : NVML_UNINITIALIZED;
}

DOUBLE_EXPORT int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = (unsigned)device_count();
    return started ? NVML_SUCCESS : NVML_UNINITIALIZED;
}

DOUBLE_EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (!started) return NVML_UNINITIALIZED;
    if (index >= (unsigned)device_count()) return NVML_INVALID_ARGUMENT;
    *handle = &devices[index];
    return NVML_SUCCESS;
}

static void uuid_text(int index, char text[48]) {
    snprintf(text, 48, "GPU-42424242-4242-4242-4242-4242424242%02x", (unsigned)index & 0xff);
}

DOUBLE_EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    char own[48];
    for (int index = 0; index < device_count(); index++) {
        uuid_text(index, own);
        if (!strcmp(own, uuid)) return nvmlDeviceGetHandleByIndex_v2((unsigned)index, handle);
    }
    return started ? NVML_NOT_FOUND : NVML_UNINITIALIZED;
}

// The domain has four digits in CUDA's form and eight in this library's.
DOUBLE_EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *text, void **handle) {
    unsigned domain, bus;
    if (sscanf(text, "%x:%x", &domain, &bus) != 2 || domain || !bus) return NVML_NOT_FOUND;
    return nvmlDeviceGetHandleByIndex_v2(bus - 1, handle) ? NVML_NOT_FOUND : NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetIndex(void *handle, unsigned *value) {
    DEVICE(handle);
    *value = (unsigned)index;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetName(void *handle, char *text, unsigned size) {
    char name[64];
    DEVICE(handle);
    snprintf(name, sizeof name, "Double of a GPU %d", index);
    return put_text(text, size, name);
}

DOUBLE_EXPORT int nvmlDeviceGetUUID(void *handle, char *text, unsigned size) {
    char uuid[48];
    DEVICE(handle);
    uuid_text(index, uuid);
    return put_text(text, size, uuid);
}

DOUBLE_EXPORT int nvmlDeviceGetPciInfo_v3(void *handle, struct pci *pci) {
    DEVICE(handle);
    *pci = (struct pci){.bus = (unsigned)index + 1, .pci_device_id = 0x24b010de};
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xff);
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "0000:%02X:00.0", pci->bus & 0xff);
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    DEVICE(handle);
    unsigned long long total = (unsigned long long)double_setting("cuda.memory_mb", index, 4096) << 20;
    unsigned long long used = (unsigned long long)double_setting("nvml.used_mb", index, 64) << 20;
    *memory = (struct memory){total, total - used, used};
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory) {
    struct memory plain;
    int status = nvmlDeviceGetMemoryInfo(handle, &plain);
    if (status) return status;
    memory->total = plain.total;
    memory->reserved = 0;
    memory->free = plain.free;
    memory->used = plain.used;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetUtilizationRates(void *handle, struct utilisation *rates) {
    DEVICE(handle);
    *rates = (struct utilisation){(unsigned)double_setting("nvml.gpu", index, 7), (unsigned)double_setting("nvml.memory", index, 3)};
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetEncoderUtilization(void *handle, unsigned *percent, unsigned *period_us) {
    DEVICE(handle);
    *percent = (unsigned)double_setting("nvml.encoder", index, 21);
    *period_us = 167000;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetDecoderUtilization(void *handle, unsigned *percent, unsigned *period_us) {
    DEVICE(handle);
    *percent = (unsigned)double_setting("nvml.decoder", index, 13);
    *period_us = 167000;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetEncoderStats(void *handle, unsigned *sessions, unsigned *fps, unsigned *latency_us) {
    DEVICE(handle);
    *sessions = (unsigned)double_setting("nvml.sessions", index, 0); // as some real drivers answer, whatever runs
    *fps = *latency_us = 0;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetEncoderSessions(void *handle, unsigned *count, struct encoder_session *sessions) {
    DEVICE(handle);
    (void)sessions;
    *count = 0;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetEncoderCapacity(void *handle, int codec, unsigned *percent) {
    DEVICE(handle);
    (void)codec;
    *percent = 100;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius) {
    DEVICE(handle);
    (void)sensor;
    *celsius = (unsigned)double_setting("nvml.temperature", index, 48);
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    DEVICE(handle);
    *milliwatts = (unsigned)double_setting("nvml.power_mw", index, 37000);
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) {
    DEVICE(handle);
    *milliwatts = 140000;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetTemperatureThreshold(void *handle, int kind, unsigned *celsius) {
    DEVICE(handle);
    *celsius = kind == 0 ? 98 : 93; // shutdown, slowdown
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetClockInfo(void *handle, int kind, unsigned *mhz) {
    static const unsigned clocks[] = {1410, 1410, 7000, 1275}; // graphics, multiprocessors, memory, video
    DEVICE(handle);
    if (kind < 0 || kind > 3) return NVML_INVALID_ARGUMENT;
    *mhz = clocks[kind];
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *reasons) {
    DEVICE(handle);
    *reasons = (unsigned long long)double_setting("nvml.throttle", index, 1); // idle
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetTotalEccErrors(void *handle, int kind, int counter, unsigned long long *errors) {
    DEVICE(handle);
    (void)counter;
    *errors = (unsigned long long)double_setting(kind == 0 ? "nvml.ecc_corrected" : "nvml.ecc_uncorrected", index, 0);
    return NVML_SUCCESS;
}

// As cards that remap rows answer.
DOUBLE_EXPORT int nvmlDeviceGetRetiredPagesPendingStatus(void *handle, int *pending) {
    DEVICE(handle);
    (void)pending;
    return NVML_NOT_SUPPORTED;
}

static int node_zero(void *handle, unsigned size, unsigned long *set) {
    DEVICE(handle);
    if (!size) return NVML_INVALID_ARGUMENT;
    memset(set, 0, size * sizeof *set);
    set[0] = 1;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetMemoryAffinity(void *handle, unsigned size, unsigned long *set, unsigned scope) {
    (void)scope;
    return node_zero(handle, size, set);
}

DOUBLE_EXPORT int nvmlDeviceGetCpuAffinity(void *handle, unsigned size, unsigned long *set) {
    DEVICE(handle);
    if (!size) return NVML_INVALID_ARGUMENT;
    memset(set, 0xff, size * sizeof *set);
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetNumaNodeId(void *handle, unsigned *node) {
    DEVICE(handle);
    *node = 0;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    DEVICE(handle);
    long compute = double_setting("cuda.compute", index, 86);
    *major = (int)compute / 10;
    *minor = (int)compute % 10;
    return NVML_SUCCESS;
}

DOUBLE_EXPORT int nvmlDeviceGetMinorNumber(void *handle, unsigned *number) {
    DEVICE(handle);
    *number = (unsigned)index;
    return NVML_SUCCESS;
}
