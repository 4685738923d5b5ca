// Copies and fills. What the host gives or takes decides when a copy happens: page-locked memory is read and written when the
// stream gets there, pageable memory is read before the call returns and written before the call returns.
#include "internal.h"

#include <stdlib.h>
#include <string.h>

struct copy {
    struct context *context;
    uint64_t destination, source;
    size_t destination_pitch, source_pitch, width, height;
    int to_device, from_device;
    void *staged;
};

struct fill {
    struct context *context;
    uint64_t destination;
    size_t pitch, width, height; // of elements
    uint32_t value, element;
};

static size_t extent(size_t pitch, size_t width, size_t height) {
    return pitch * (height - 1) + width;
}

// Memory that was freed, or that ends too early, is an illegal address and ends the device's life, as on the hardware.
static CUresult check_range(struct context *context, uint64_t address, size_t bytes) {
    if (pinned_covers((void *)address, bytes)) return CUDA_SUCCESS;
    CUresult status = double_device_range(address, bytes);
    if (status != (CUresult)CUDA_ILLEGAL_ADDRESS) return status;
    double_report("refused illegal address 0x%llx bytes=%zu", (unsigned long long)address, bytes);
    double_poison(context->device, status);
    return status;
}

static CUresult check_copy(const struct copy *copy) {
    CUresult status = CUDA_SUCCESS;
    if (copy->destination_pitch < copy->width || copy->source_pitch < copy->width) return (CUresult)CUDA_INVALID_VALUE;
    if (copy->to_device) status = check_range(copy->context, copy->destination, extent(copy->destination_pitch, copy->width, copy->height));
    if (!status && copy->from_device)
        status = check_range(copy->context, copy->source, extent(copy->source_pitch, copy->width, copy->height));
    // A device address given as a host's would fault in the real driver's own copy, too; say it here instead.
    if (!status && !copy->to_device && memory_is_device(copy->destination)) status = (CUresult)CUDA_INVALID_VALUE;
    if (!status && !copy->from_device && memory_is_device(copy->source)) status = (CUresult)CUDA_INVALID_VALUE;
    return status;
}

static void count_copy(const struct copy *copy) {
    int64_t bytes = (int64_t)(copy->width * copy->height);
    int frame_sized = bytes >= double_setting("cuda.frame_bytes", ANY_DEVICE, 65536);
    if (copy->to_device && copy->from_device) {
        double_count(COUNT_d2d_copies, 1);
        double_count(COUNT_d2d_bytes, bytes);
    } else if (copy->to_device) {
        double_count(COUNT_h2d_copies, 1);
        double_count(COUNT_h2d_bytes, bytes);
        double_count(COUNT_frame_sized_h2d, frame_sized);
    } else if (copy->from_device) {
        double_count(COUNT_d2h_copies, 1);
        double_count(COUNT_d2h_bytes, bytes);
        double_count(COUNT_frame_sized_d2h, frame_sized);
    }
}

static void copy_rows(const struct copy *copy) {
    char *destination = double_alias(copy->destination);
    const char *source = copy->staged ? copy->staged : double_alias(copy->source);
    size_t source_pitch = copy->staged ? copy->width : copy->source_pitch;
    for (size_t y = 0; y < copy->height; y++)
        memcpy(destination + y * copy->destination_pitch, source + y * source_pitch, copy->width);
}

// The ranges are looked at again: what was freed between the call and this moment must not be written.
static void run_copy(void *argument, CUresult status) {
    struct copy *copy = argument;
    if (!status && !check_copy(copy)) copy_rows(copy);
    free(copy->staged);
    free(copy);
}

static void stage(struct copy *copy) {
    copy->staged = malloc(copy->width * copy->height);
    for (size_t y = 0; y < copy->height; y++)
        memcpy((char *)copy->staged + y * copy->width, (char *)copy->source + y * copy->source_pitch, copy->width);
}

static CUresult submit(struct copy request, CUstream handle, int synchronous) {
    struct stream *stream;
    CUresult status = enter(&request.context);
    if (!status) status = stream_of(request.context, handle, &stream);
    if (status) return status;
    if (!request.width || !request.height) return CUDA_SUCCESS; // an empty copy succeeds, whatever its pointers
    if ((status = check_copy(&request))) return status;
    count_copy(&request);
    int host_reads = !request.from_device && !pinned_covers((void *)request.source, extent(request.source_pitch, request.width,
        request.height));
    int host_writes = !request.to_device && !pinned_covers((void *)request.destination, extent(request.destination_pitch, request.width,
        request.height));
    if (host_reads) stage(&request);
    struct copy *copy = malloc(sizeof *copy);
    *copy = request;
    struct ticket ticket = stream_submit(stream, run_copy, copy, NULL, 0);
    if (host_writes || synchronous) stream_wait_ticket(ticket);
    return synchronous ? context_error(request.context) : CUDA_SUCCESS;
}

static struct copy linear(uint64_t destination, uint64_t source, size_t bytes, int to_device, int from_device) {
    return (struct copy){NULL, destination, source, bytes, bytes, bytes, bytes ? 1 : 0, to_device, from_device, NULL};
}

DOUBLE_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr destination, const void *source, size_t bytes) {
    return submit(linear(destination, (uint64_t)source, bytes, 1, 0), NULL, 1);
}

DOUBLE_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr destination, const void *source, size_t bytes, CUstream stream) {
    return submit(linear(destination, (uint64_t)source, bytes, 1, 0), stream, 0);
}

DOUBLE_EXPORT CUresult cuMemcpyDtoH_v2(void *destination, CUdeviceptr source, size_t bytes) {
    return submit(linear((uint64_t)destination, source, bytes, 0, 1), NULL, 1);
}

DOUBLE_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *destination, CUdeviceptr source, size_t bytes, CUstream stream) {
    return submit(linear((uint64_t)destination, source, bytes, 0, 1), stream, 0);
}

// Within the device the host never waits, whatever the name promises.
DOUBLE_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes) {
    return submit(linear(destination, source, bytes, 1, 1), NULL, 0);
}

DOUBLE_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream) {
    return submit(linear(destination, source, bytes, 1, 1), stream, 0);
}

// The unified forms find out from the addresses on which side each lies.
DOUBLE_EXPORT CUresult cuMemcpy(CUdeviceptr destination, CUdeviceptr source, size_t bytes) {
    return submit(linear(destination, source, bytes, memory_is_device(destination), memory_is_device(source)), NULL, 1);
}

DOUBLE_EXPORT CUresult cuMemcpyAsync(CUdeviceptr destination, CUdeviceptr source, size_t bytes, CUstream stream) {
    return submit(linear(destination, source, bytes, memory_is_device(destination), memory_is_device(source)), stream, 0);
}

static int is_device(CUmemorytype type, CUdeviceptr address) {
    return type == CU_MEMORYTYPE_DEVICE || ((int)type == 4 && memory_is_device(address)); // 4: unified
}

static uint64_t start_of(uint64_t base, size_t pitch, size_t x, size_t y) {
    return base + y * pitch + x;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *plan, CUstream stream, int synchronous) {
    if (!plan || plan->srcMemoryType == CU_MEMORYTYPE_ARRAY || plan->dstMemoryType == CU_MEMORYTYPE_ARRAY)
        return (CUresult)CUDA_INVALID_VALUE;
    struct copy copy = {.width = plan->WidthInBytes, .height = plan->Height};
    copy.source_pitch = plan->srcPitch ? plan->srcPitch : plan->WidthInBytes;
    copy.destination_pitch = plan->dstPitch ? plan->dstPitch : plan->WidthInBytes;
    copy.from_device = is_device(plan->srcMemoryType, plan->srcDevice);
    copy.to_device = is_device(plan->dstMemoryType, plan->dstDevice);
    uint64_t source = plan->srcMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)plan->srcHost : plan->srcDevice;
    uint64_t destination = plan->dstMemoryType == CU_MEMORYTYPE_HOST ? (uint64_t)plan->dstHost : plan->dstDevice;
    copy.source = start_of(source, copy.source_pitch, plan->srcXInBytes, plan->srcY);
    copy.destination = start_of(destination, copy.destination_pitch, plan->dstXInBytes, plan->dstY);
    return submit(copy, stream, synchronous);
}

DOUBLE_EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *plan) {
    return copy_2d(plan, NULL, 1);
}

DOUBLE_EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *plan) {
    return copy_2d(plan, NULL, 1);
}

DOUBLE_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *plan, CUstream stream) {
    return copy_2d(plan, stream, 0);
}

static void run_fill(void *argument, CUresult status) {
    struct fill *fill = argument;
    if (!status && !check_range(fill->context, fill->destination, extent(fill->pitch, fill->width * fill->element, fill->height)))
        for (size_t y = 0; y < fill->height; y++)
            for (size_t x = 0; x < fill->width; x++)
                memcpy((char *)double_alias(fill->destination) + y * fill->pitch + x * fill->element, &fill->value, fill->element);
    free(fill);
}

static CUresult submit_fill(struct fill request, CUstream handle) {
    struct stream *stream;
    CUresult status = enter(&request.context);
    if (!status) status = stream_of(request.context, handle, &stream);
    if (status) return status;
    if (!request.width || !request.height) return CUDA_SUCCESS;
    if (request.destination % request.element) return (CUresult)CUDA_INVALID_VALUE;
    status = check_range(request.context, request.destination, extent(request.pitch, request.width * request.element, request.height));
    if (status) return status;
    struct fill *fill = malloc(sizeof *fill);
    *fill = request;
    stream_submit(stream, run_fill, fill, NULL, 0);
    return CUDA_SUCCESS;
}

static struct fill line(CUdeviceptr destination, uint32_t value, uint32_t element, size_t count) {
    return (struct fill){NULL, destination, count * element, count, 1, value, element};
}

#define MEMSET(bits, type)                                                                                                     \
    DOUBLE_EXPORT CUresult cuMemsetD##bits##Async(CUdeviceptr destination, type value, size_t count, CUstream stream) {        \
        return submit_fill(line(destination, value, sizeof(type), count), stream);                                             \
    }                                                                                                                          \
    DOUBLE_EXPORT CUresult cuMemsetD##bits##_v2(CUdeviceptr destination, type value, size_t count) {                           \
        return submit_fill(line(destination, value, sizeof(type), count), NULL);                                               \
    }                                                                                                                          \
    DOUBLE_EXPORT CUresult cuMemsetD2D##bits##Async(CUdeviceptr destination, size_t pitch, type value, size_t width,           \
                                                    size_t height, CUstream stream) {                                          \
        return submit_fill((struct fill){NULL, destination, pitch, width, height, value, sizeof(type)}, stream);               \
    }
MEMSET(8, unsigned char)
MEMSET(16, unsigned short)
MEMSET(32, unsigned)

PROTOTYPE(cuMemcpy);
PROTOTYPE(cuMemcpyAsync);
PROTOTYPE(cuMemcpy2D_v2);
PROTOTYPE(cuMemcpy2DAsync_v2);
PROTOTYPE(cuMemcpyHtoD_v2);
PROTOTYPE(cuMemcpyHtoDAsync_v2);
PROTOTYPE(cuMemcpyDtoH_v2);
PROTOTYPE(cuMemcpyDtoHAsync_v2);
PROTOTYPE(cuMemcpyDtoD_v2);
PROTOTYPE(cuMemcpyDtoDAsync_v2);
PROTOTYPE(cuMemsetD8Async);
