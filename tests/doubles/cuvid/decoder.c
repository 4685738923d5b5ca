// Decoders: decode surfaces, and output surfaces that are mapped one after another at changing addresses.
#include "internal.h"

#include <libavutil/frame.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define DECODERS 64
#define OUTPUTS 66 // the API's limit of 64 mapped at once, and two to change addresses with

struct surface {
    AVFrame *frame;
    int decoded, mapped; // how many outputs show it
    cuvidDecodeStatus status;
};

struct output {
    CUdeviceptr address;
    int mapped, shows;
    CUstream stream;
};

struct decoder {
    int alive, device;
    CUcontext context;
    CUVIDDECODECREATEINFO info;
    struct surface surfaces[SURFACES];
    struct output outputs[OUTPUTS];
    size_t next_output, output_bytes;
};

// Work that a map or an unmap leaves on its stream.
struct presentation {
    AVFrame *frame;
    CUVIDDECODECREATEINFO info;
    CUdeviceptr address;
    size_t bytes;
};

static struct decoder decoders[DECODERS];
static size_t next_decoder;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
__thread struct handover *handing_over;

static struct decoder *decoder_of(void *handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)decoders;
    struct decoder *decoder = handle;
    return offset < sizeof decoders && offset % sizeof decoders[0] == 0 && decoder->alive ? decoder : NULL;
}

enum AVCodecID codec_of(cudaVideoCodec codec) {
    switch (codec) {
    case cudaVideoCodec_MPEG1: return AV_CODEC_ID_MPEG1VIDEO;
    case cudaVideoCodec_MPEG2: return AV_CODEC_ID_MPEG2VIDEO;
    case cudaVideoCodec_H264: return AV_CODEC_ID_H264;
    case cudaVideoCodec_HEVC: return AV_CODEC_ID_HEVC;
    case cudaVideoCodec_VP8: return AV_CODEC_ID_VP8;
    case cudaVideoCodec_VP9: return AV_CODEC_ID_VP9;
    case cudaVideoCodec_AV1: return AV_CODEC_ID_AV1;
    default: return AV_CODEC_ID_NONE;
    }
}

static int supported(const CUVIDDECODECAPS *caps, int device) {
    int deep = caps->eCodecType == cudaVideoCodec_HEVC || caps->eCodecType == cudaVideoCodec_VP9 || caps->eCodecType == cudaVideoCodec_AV1;
    if (codec_of(caps->eCodecType) == AV_CODEC_ID_NONE || caps->eChromaFormat != cudaVideoChromaFormat_420) return 0;
    if (caps->nBitDepthMinus8 != 0 && !(deep && caps->nBitDepthMinus8 == 2)) return 0;
    if (double_fault("nvdec.unsupported", device, 1)) return 0;
    long refused = double_setting("nvdec.unsupported_codec", device, -1);
    if (refused != (long)caps->eCodecType) return 1;
    double_fired("nvdec.unsupported_codec");
    return 0;
}

DOUBLE_EXPORT CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS *caps) {
    CUcontext context;
    CUresult status = double_current(&context);
    if (!caps) return (CUresult)CUDA_INVALID_VALUE;
    if (status) return status;
    int device = double_context_device(context), is_supported = supported(caps, device);
    long limit = double_setting("nvdec.max_width", device, caps->eCodecType == cudaVideoCodec_H264 ? 4096 : 8192);
    caps->bIsSupported = (unsigned char)is_supported;
    caps->nNumNVDECs = is_supported ? 2 : 0;
    caps->nOutputFormatMask = is_supported ? 1 << cudaVideoSurfaceFormat_NV12 | 1 << cudaVideoSurfaceFormat_P016 : 0;
    caps->nMaxWidth = caps->nMaxHeight = is_supported ? (unsigned)limit : 0;
    caps->nMaxMBCount = is_supported ? (unsigned)(limit * limit / 256) : 0;
    caps->nMinWidth = caps->nMinHeight = is_supported ? 48 : 0;
    caps->bIsHistogramSupported = 0;
    return CUDA_SUCCESS;
}

static CUresult check_info(const CUVIDDECODECREATEINFO *info) {
    if (codec_of(info->CodecType) == AV_CODEC_ID_NONE || info->ChromaFormat != cudaVideoChromaFormat_420)
        return (CUresult)CUDA_NOT_SUPPORTED;
    if (info->OutputFormat != cudaVideoSurfaceFormat_NV12 && info->OutputFormat != cudaVideoSurfaceFormat_P016)
        return (CUresult)CUDA_NOT_SUPPORTED;
    if (!info->ulNumDecodeSurfaces || info->ulNumDecodeSurfaces > 32) return (CUresult)CUDA_INVALID_VALUE;
    if (!info->ulNumOutputSurfaces || info->ulNumOutputSurfaces > 64) return (CUresult)CUDA_INVALID_VALUE;
    if (info->ulWidth < 48 || info->ulHeight < 16 || info->ulWidth > 8192 || info->ulHeight > 8192) return (CUresult)CUDA_NOT_SUPPORTED;
    if (!info->ulTargetWidth || !info->ulTargetHeight || (info->ulTargetWidth | info->ulTargetHeight) & 1)
        return (CUresult)CUDA_INVALID_VALUE;
    return CUDA_SUCCESS;
}

// Output surfaces are one more than can be mapped, so that a client that keeps a table of addresses meets a new one.
static CUresult allocate_outputs(struct decoder *decoder) {
    CUresult status = CUDA_SUCCESS;
    decoder->output_bytes = surface_bytes(&decoder->info);
    for (size_t i = 0; i < decoder->info.ulNumOutputSurfaces + 2 && !status; i++)
        status = double_device_alloc(decoder->context, decoder->output_bytes, &decoder->outputs[i].address);
    return status;
}

static void free_outputs(struct decoder *decoder) {
    for (size_t i = 0; i < OUTPUTS; i++)
        if (decoder->outputs[i].address) double_device_free(decoder->outputs[i].address);
    memset(decoder->outputs, 0, sizeof decoder->outputs);
}

static void drop_surfaces(struct decoder *decoder) {
    for (size_t i = 0; i < SURFACES; i++) av_frame_free(&decoder->surfaces[i].frame);
    memset(decoder->surfaces, 0, sizeof decoder->surfaces);
}

static struct decoder *take_slot(void) {
    for (size_t i = 0; i < DECODERS; i++) {
        struct decoder *decoder = &decoders[next_decoder];
        next_decoder = (next_decoder + 1) % DECODERS;
        if (!decoder->alive) return decoder;
    }
    return NULL;
}

DOUBLE_EXPORT CUresult cuvidCreateDecoder(CUvideodecoder *handle, CUVIDDECODECREATEINFO *info) {
    CUcontext context;
    CUresult status = double_current(&context);
    if (!handle || !info) return (CUresult)CUDA_INVALID_VALUE;
    if (status) return status;
    int device = double_context_device(context);
    long code = double_fault("nvdec.create", device, CUDA_NOT_SUPPORTED);
    if (code) return (CUresult)code;
    if ((status = check_info(info))) return status;
    pthread_mutex_lock(&lock);
    struct decoder *decoder = take_slot();
    if (decoder) *decoder = (struct decoder){.alive = 1, .device = device, .context = context, .info = *info};
    status = decoder ? allocate_outputs(decoder) : (CUresult)CUDA_OUT_OF_MEMORY;
    if (status && decoder) {
        free_outputs(decoder);
        decoder->alive = 0;
    }
    pthread_mutex_unlock(&lock);
    if (status) return status;
    double_level(LEVEL_decoders, 1);
    *handle = decoder;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuvidDestroyDecoder(CUvideodecoder handle) {
    struct decoder *decoder = decoder_of(handle);
    if (!decoder) return (CUresult)CUDA_INVALID_HANDLE;
    for (size_t i = 0; i < OUTPUTS; i++)
        if (decoder->outputs[i].address) double_wait(decoder->context, decoder->outputs[i].stream);
    pthread_mutex_lock(&lock);
    free_outputs(decoder);
    drop_surfaces(decoder);
    decoder->alive = 0;
    pthread_mutex_unlock(&lock);
    double_level(LEVEL_decoders, -1);
    return CUDA_SUCCESS;
}

static int anything_mapped(const struct decoder *decoder) {
    for (size_t i = 0; i < OUTPUTS; i++)
        if (decoder->outputs[i].mapped) return 1;
    return 0;
}

DOUBLE_EXPORT CUresult cuvidReconfigureDecoder(CUvideodecoder handle, CUVIDRECONFIGUREDECODERINFO *change) {
    struct decoder *decoder = decoder_of(handle);
    if (!decoder || !change) return (CUresult)CUDA_INVALID_VALUE;
    CUresult status = double_context_status(decoder->context);
    if (status) return status;
    CUVIDDECODECREATEINFO info = decoder->info;
    unsigned long most_width = info.ulMaxWidth ? info.ulMaxWidth : info.ulWidth;
    unsigned long most_height = info.ulMaxHeight ? info.ulMaxHeight : info.ulHeight;
    if (change->ulWidth > most_width || change->ulHeight > most_height || anything_mapped(decoder)) return (CUresult)CUDA_INVALID_VALUE;
    info.ulMaxWidth = most_width;
    info.ulMaxHeight = most_height;
    info.ulWidth = change->ulWidth;
    info.ulHeight = change->ulHeight;
    info.ulTargetWidth = change->ulTargetWidth;
    info.ulTargetHeight = change->ulTargetHeight;
    info.ulNumDecodeSurfaces = change->ulNumDecodeSurfaces;
    memcpy(&info.display_area, &change->display_area, sizeof info.display_area);
    memcpy(&info.target_rect, &change->target_rect, sizeof info.target_rect);
    if ((status = check_info(&info))) return status;
    for (size_t i = 0; i < OUTPUTS; i++)
        if (decoder->outputs[i].address) double_wait(decoder->context, decoder->outputs[i].stream);
    pthread_mutex_lock(&lock);
    free_outputs(decoder);
    drop_surfaces(decoder);
    decoder->info = info;
    status = allocate_outputs(decoder);
    pthread_mutex_unlock(&lock);
    return status;
}

static CUresult decode_faults(int device) {
    if (double_fault_at("nvdec.ecc_at_decode", device)) {
        double_poison(device, (CUresult)CUDA_ECC_UNCORRECTABLE);
        return (CUresult)CUDA_ECC_UNCORRECTABLE;
    }
    return double_fault_at("nvdec.decode", device) ? (CUresult)CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS *picture) {
    struct decoder *decoder = decoder_of(handle);
    if (!decoder || !picture) return (CUresult)CUDA_INVALID_VALUE;
    CUresult status = double_context_status(decoder->context);
    if (!status) status = decode_faults(decoder->device);
    if (status) return status;
    int index = picture->CurrPicIdx;
    if (index < 0 || (unsigned long)index >= decoder->info.ulNumDecodeSurfaces || !picture->nBitstreamDataLen)
        return (CUresult)CUDA_INVALID_VALUE;
    // The double decodes what its own parser hands out, on the thread that it hands it to.
    if (!handing_over || handing_over->data != picture->pBitstreamData) {
        double_violation("cuvidDecodePicture outside of the parser's callback");
        return (CUresult)CUDA_NOT_SUPPORTED;
    }
    pthread_mutex_lock(&lock);
    struct surface *surface = &decoder->surfaces[index];
    if (surface->mapped) {
        pthread_mutex_unlock(&lock);
        double_violation("decode into surface %d, which is mapped", index);
        return (CUresult)CUDA_INVALID_VALUE;
    }
    av_frame_free(&surface->frame);
    *surface = (struct surface){.decoded = 1, .status = cuvidDecodeStatus_InProgress};
    pthread_mutex_unlock(&lock);
    handing_over->decoder = decoder;
    double_count(COUNT_decoded, 1);
    return CUDA_SUCCESS;
}

void decoder_store(void *handle, int index, const AVFrame *frame) {
    pthread_mutex_lock(&lock);
    struct decoder *decoder = decoder_of(handle);
    if (decoder && decoder->surfaces[index].decoded) {
        struct surface *surface = &decoder->surfaces[index];
        av_frame_free(&surface->frame);
        surface->frame = av_frame_clone(frame);
        surface->status = frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT)
            ? cuvidDecodeStatus_Error_Concealed : cuvidDecodeStatus_Success;
    }
    pthread_mutex_unlock(&lock);
}

DOUBLE_EXPORT CUresult cuvidGetDecodeStatus(CUvideodecoder handle, int index, CUVIDGETDECODESTATUS *result) {
    struct decoder *decoder = decoder_of(handle);
    if (!decoder || index < 0 || index >= SURFACES || !result) return (CUresult)CUDA_INVALID_VALUE;
    CUresult status = double_context_status(decoder->context);
    if (status) return status;
    result->decodeStatus = double_fault_at("nvdec.picture_error", decoder->device)
        ? cuvidDecodeStatus_Error : decoder->surfaces[index].status;
    return CUDA_SUCCESS;
}

static void present(void *argument, CUresult status) {
    struct presentation *presentation = argument;
    uint8_t *target = double_alias(presentation->address);
    if (!status) post_process(presentation->frame, &presentation->info, target, surface_pitch(&presentation->info));
    av_frame_free(&presentation->frame);
    free(presentation);
}

// What was shown is gone after an unmap, in the order of the stream that it was mapped on: a client that reads on without having
// waited sees this.
static void wipe(void *argument, CUresult status) {
    struct presentation *presentation = argument;
    if (!status) memset(double_alias(presentation->address), 0xDB, presentation->bytes);
    free(presentation);
}

static struct output *take_output(struct decoder *decoder) {
    size_t mapped = 0, total = decoder->info.ulNumOutputSurfaces + 2;
    for (size_t i = 0; i < total; i++) mapped += (size_t)decoder->outputs[i].mapped;
    if (mapped >= decoder->info.ulNumOutputSurfaces) return NULL;
    for (size_t i = 0; i < total; i++) {
        struct output *output = &decoder->outputs[decoder->next_output];
        decoder->next_output = (decoder->next_output + 1) % total;
        if (!output->mapped) return output;
    }
    return NULL;
}

static CUresult check_map(struct decoder *decoder, int index) {
    CUresult status = double_context_status(decoder->context);
    if (status) return status;
    if (double_fault_at("nvdec.map_out_of_memory", decoder->device)) return (CUresult)CUDA_OUT_OF_MEMORY;
    if (index < 0 || (unsigned long)index >= decoder->info.ulNumDecodeSurfaces) return (CUresult)CUDA_INVALID_VALUE;
    if (decoder->surfaces[index].frame) return CUDA_SUCCESS;
    // Either nothing was decoded there, or the parser has given the surface to a later picture: the hardware would show the wrong one.
    if (decoder->surfaces[index].decoded) double_violation("map of surface %d after it was decoded into again", index);
    return (CUresult)CUDA_INVALID_VALUE;
}

DOUBLE_EXPORT CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int index, unsigned long long *address, unsigned *pitch,
    CUVIDPROCPARAMS *process) {
    struct decoder *decoder = decoder_of(handle);
    if (!decoder || !address || !pitch || !process) return (CUresult)CUDA_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    CUresult status = check_map(decoder, index);
    struct output *output = status ? NULL : take_output(decoder);
    struct presentation *presentation = NULL;
    if (output) {
        presentation = malloc(sizeof *presentation);
        *presentation = (struct presentation){av_frame_clone(decoder->surfaces[index].frame), decoder->info, output->address,
            decoder->output_bytes};
        *output = (struct output){output->address, 1, index, process->output_stream};
        decoder->surfaces[index].mapped++;
    }
    pthread_mutex_unlock(&lock);
    if (!output) return status ? status : (CUresult)205; // CUDA_ERROR_MAP_FAILED: all are mapped
    double_count(COUNT_video_maps, 1);
    double_level(LEVEL_video_mapped, 1);
    *address = output->address;
    *pitch = (unsigned)surface_pitch(&presentation->info);
    return double_enqueue(decoder->context, process->output_stream, present, presentation);
}

DOUBLE_EXPORT CUresult cuvidUnmapVideoFrame64(CUvideodecoder handle, unsigned long long address) {
    struct decoder *decoder = decoder_of(handle);
    struct output *output = NULL;
    if (!decoder) return (CUresult)CUDA_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < OUTPUTS && !output; i++)
        if (decoder->outputs[i].mapped && decoder->outputs[i].address == address) output = &decoder->outputs[i];
    if (output) {
        output->mapped = 0;
        decoder->surfaces[output->shows].mapped--;
    }
    pthread_mutex_unlock(&lock);
    if (!output) return (CUresult)CUDA_INVALID_VALUE;
    double_level(LEVEL_video_mapped, -1);
    struct presentation *presentation = malloc(sizeof *presentation);
    *presentation = (struct presentation){.address = output->address, .bytes = decoder->output_bytes};
    return double_enqueue(decoder->context, output->stream, wipe, presentation);
}

DOUBLE_EXPORT CUresult cuvidCtxLockCreate(CUvideoctxlock *handle, CUcontext context) {
    (void)context;
    pthread_mutexattr_t recursive;
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(mutex, &recursive);
    *handle = (CUvideoctxlock)mutex;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuvidCtxLockDestroy(CUvideoctxlock handle) {
    free(handle);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuvidCtxLock(CUvideoctxlock handle, unsigned flags) {
    (void)flags;
    return pthread_mutex_lock((pthread_mutex_t *)handle) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuvidCtxUnlock(CUvideoctxlock handle, unsigned flags) {
    (void)flags;
    return pthread_mutex_unlock((pthread_mutex_t *)handle) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

PROTOTYPE(cuvidGetDecoderCaps);
PROTOTYPE(cuvidCreateDecoder);
PROTOTYPE(cuvidDestroyDecoder);
PROTOTYPE(cuvidReconfigureDecoder);
PROTOTYPE(cuvidDecodePicture);
PROTOTYPE(cuvidGetDecodeStatus);
PROTOTYPE(cuvidCtxLockCreate);
PROTOTYPE(cuvidCtxLockDestroy);
PROTOTYPE(cuvidCtxLock);
PROTOTYPE(cuvidCtxUnlock);
_Static_assert(__builtin_types_compatible_p(__typeof__(&cuvidMapVideoFrame64), tcuvidMapVideoFrame *), "map");
_Static_assert(__builtin_types_compatible_p(__typeof__(&cuvidUnmapVideoFrame64), tcuvidUnmapVideoFrame *), "unmap");
