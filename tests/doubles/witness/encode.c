// encode CODEC WIDTH HEIGHT NV12-FILE OUTPUT [overwrite]: encodes with API 12.1, one picture under way at a time; the 11th picture
// is a forced IDR, every picture carries an SEI message, and from the 13th on the bit rate is a third.
// With `overwrite` the input is changed while the encoder has it.
#include HEADER

#include "witness.h"

#include <string.h>

NVENCSTATUS NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *list);

struct coder {
    NV_ENCODE_API_FUNCTION_LIST api;
    void *session;
    unsigned width, height;
    CUdeviceptr memory;
    CUstream stream;
    void *registered, *bitstream;
    FILE *output;
    GUID codec;
    int hevc;
};

static GUID codec_guid(const char *name) {
    return !strcmp(name, "av1") ? NV_ENC_CODEC_AV1_GUID : !strcmp(name, "hevc") ? NV_ENC_CODEC_HEVC_GUID : NV_ENC_CODEC_H264_GUID;
}

static void open_session(struct coder *coder, CUcontext context) {
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS open = {.version = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER, .deviceType = NV_ENC_DEVICE_TYPE_CUDA,
                                                 .device = context, .apiVersion = NVENCAPI_VERSION};
    coder->api.version = NV_ENCODE_API_FUNCTION_LIST_VER;
    MUST(NvEncodeAPICreateInstance(&coder->api));
    MUST(coder->api.nvEncOpenEncodeSessionEx(&open, &coder->session));
}

static void fill_parameters(struct coder *coder, uint32_t bitrate, NV_ENC_INITIALIZE_PARAMS *parameters) {
    static NV_ENC_PRESET_CONFIG preset;
    preset = (NV_ENC_PRESET_CONFIG){.version = NV_ENC_PRESET_CONFIG_VER, .presetCfg = {.version = NV_ENC_CONFIG_VER}};
    MUST(coder->api.nvEncGetEncodePresetConfigEx(coder->session, coder->codec, NV_ENC_PRESET_P4_GUID, NV_ENC_TUNING_INFO_LOW_LATENCY,
        &preset));
    preset.presetCfg.rcParams.averageBitRate = bitrate;
    *parameters = (NV_ENC_INITIALIZE_PARAMS){.version = NV_ENC_INITIALIZE_PARAMS_VER, .encodeGUID = coder->codec,
        .presetGUID = NV_ENC_PRESET_P4_GUID,
                                           .encodeWidth = coder->width, .encodeHeight = coder->height, .frameRateNum = 25,
                                               .frameRateDen = 1,
                                           .enablePTD = 1, .encodeConfig = &preset.presetCfg, .tuningInfo = NV_ENC_TUNING_INFO_LOW_LATENCY};
}

static void initialise(struct coder *coder) {
    NV_ENC_INITIALIZE_PARAMS parameters;
    fill_parameters(coder, 3000000, &parameters);
    MUST(coder->api.nvEncInitializeEncoder(coder->session, &parameters));
}

static void reconfigure(struct coder *coder, uint32_t bitrate) {
    NV_ENC_RECONFIGURE_PARAMS change = {.version = NV_ENC_RECONFIGURE_PARAMS_VER};
    fill_parameters(coder, bitrate, &change.reInitEncodeParams);
    MUST(coder->api.nvEncReconfigureEncoder(coder->session, &change));
}

static void make_buffers(struct coder *coder) {
    NV_ENC_CREATE_BITSTREAM_BUFFER create = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
    MUST(cuMemAlloc_v2(&coder->memory, coder->width * coder->height * 3 / 2));
    NV_ENC_REGISTER_RESOURCE resource = {.version = NV_ENC_REGISTER_RESOURCE_VER, .resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
                                         .width = coder->width, .height = coder->height, .pitch = coder->width,
                                         .resourceToRegister = (void *)coder->memory, .bufferFormat = NV_ENC_BUFFER_FORMAT_NV12};
    NV_ENC_REGISTER_RESOURCE host = resource;
    host.resourceToRegister = coder;
    printf("host memory %d\n", (int)coder->api.nvEncRegisterResource(coder->session, &host));
    MUST(coder->api.nvEncRegisterResource(coder->session, &resource));
    MUST(coder->api.nvEncCreateBitstreamBuffer(coder->session, &create));
    MUST(cuStreamCreate(&coder->stream, CU_STREAM_NON_BLOCKING));
    MUST(coder->api.nvEncSetIOCudaStreams(coder->session, &coder->stream, &coder->stream));
    coder->registered = resource.registeredResource;
    coder->bitstream = create.bitstreamBuffer;
}

static void encode(struct coder *coder, int number, int overwrite) {
    static uint8_t text[] = "0123456789abcdefwitness";
    NV_ENC_SEI_PAYLOAD sei = {sizeof text, 5, text}; // user data: 16 bytes of identity, then anything
    NV_ENC_MAP_INPUT_RESOURCE map = {.version = NV_ENC_MAP_INPUT_RESOURCE_VER, .registeredResource = coder->registered};
    MUST(coder->api.nvEncMapInputResource(coder->session, &map));
    NV_ENC_PIC_PARAMS picture = {.version = NV_ENC_PIC_PARAMS_VER, .inputWidth = coder->width, .inputHeight = coder->height,
        .inputPitch = coder->width,
                                 .inputTimeStamp = (uint64_t)number * 3600, .inputBuffer = map.mappedResource,
                                     .outputBitstream = coder->bitstream,
                                 .bufferFmt = map.mappedBufferFmt, .pictureStruct = NV_ENC_PIC_STRUCT_FRAME,
                                 .encodePicFlags = number == 10 ? NV_ENC_PIC_FLAG_FORCEIDR : 0};
    if (coder->hevc) {
        picture.codecPicParams.hevcPicParams.seiPayloadArray = &sei;
        picture.codecPicParams.hevcPicParams.seiPayloadArrayCnt = 1;
    } else {
        picture.codecPicParams.h264PicParams.seiPayloadArray = &sei;
        picture.codecPicParams.h264PicParams.seiPayloadArrayCnt = 1;
    }
    MUST(coder->api.nvEncEncodePicture(coder->session, &picture));
    if (overwrite) MUST(cuMemsetD8Async(coder->memory, 0, coder->width * coder->height, coder->stream));
    if (overwrite) MUST(cuStreamSynchronize(coder->stream));
    NV_ENC_LOCK_BITSTREAM lock = {.version = NV_ENC_LOCK_BITSTREAM_VER, .outputBitstream = coder->bitstream};
    MUST(coder->api.nvEncLockBitstream(coder->session, &lock));
    fwrite(lock.bitstreamBufferPtr, 1, lock.bitstreamSizeInBytes, coder->output);
    printf("picture %llu bytes %u type %d\n", (unsigned long long)lock.outputTimeStamp / 3600, lock.bitstreamSizeInBytes,
        (int)lock.pictureType);
    MUST(coder->api.nvEncUnlockBitstream(coder->session, coder->bitstream));
    if (number == 0) printf("unregister while mapped %d\n", (int)coder->api.nvEncUnregisterResource(coder->session, coder->registered));
    MUST(coder->api.nvEncUnmapInputResource(coder->session, map.mappedResource));
}

int tell_encode(char **arguments) {
    static struct coder coder;
    CUcontext context = make_context();
    coder.width = (unsigned)atoi(arguments[1]);
    coder.height = (unsigned)atoi(arguments[2]);
    coder.hevc = !strcmp(arguments[0], "hevc");
    FILE *input = fopen(arguments[3], "rb");
    coder.output = fopen(arguments[4], "wb");
    size_t bytes = coder.width * coder.height * 3 / 2;
    void *host;
    if (!input || !coder.output) return 66;
    MUST(cuMemHostAlloc(&host, bytes, 0));
    open_session(&coder, context);
    coder.codec = codec_guid(arguments[0]);
    initialise(&coder);
    make_buffers(&coder);
    for (int number = 0; fread(host, 1, bytes, input) == bytes; number++) {
        // The stream is the encoder's too, so that the copy is done before the picture is read; the host buffer is free once it is locked.
        MUST(cuMemcpyHtoDAsync_v2(coder.memory, host, bytes, coder.stream));
        if (number == 12) reconfigure(&coder, 1000000);
        encode(&coder, number, arguments[5] != NULL);
    }
    NV_ENC_PIC_PARAMS end = {.version = NV_ENC_PIC_PARAMS_VER, .encodePicFlags = NV_ENC_PIC_FLAG_EOS};
    MUST(coder.api.nvEncEncodePicture(coder.session, &end));
    MUST(coder.api.nvEncUnregisterResource(coder.session, coder.registered));
    MUST(coder.api.nvEncDestroyBitstreamBuffer(coder.session, coder.bitstream));
    MUST(coder.api.nvEncDestroyEncoder(coder.session));
    fclose(coder.output);
    fclose(input);
    return 0;
}

// Holds one session until its input ends.
int tell_hold(void) {
    static struct coder coder;
    open_session(&coder, make_context());
    printf("holding\n");
    while (getchar() != EOF) {}
    return 0;
}
