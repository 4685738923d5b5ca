// The API's entries, compiled once per header version: they check the client's struct versions and put what the structs say into
// the neutral terms of session.h.
#include HEADER

#include "entry_settings.h"

#define CHECK_VERSION(pointer, version_)                                                                                       \
    do {                                                                                                                       \
        if (!(pointer)) return NV_ENC_ERR_INVALID_PTR;                                                                         \
        if (!has_version((pointer)->version, version_)) return NV_ENC_ERR_INVALID_VERSION;                                     \
    } while (0)
#define CHECK_SESSION(handle)                                                                                                  \
    struct session *session = handle;                                                                                          \
    do {                                                                                                                       \
        int lost_ = session_check(session);                                                                                    \
        if (lost_) return (NVENCSTATUS)lost_;                                                                                  \
    } while (0)

static NVENCSTATUS NVENCAPI open_session_ex(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *parameters, void **handle) {
    CHECK_VERSION(parameters, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
    if (!handle) return NV_ENC_ERR_INVALID_PTR;
    if ((parameters->apiVersion & 0xff) != NVENCAPI_MAJOR_VERSION) return NV_ENC_ERR_INVALID_VERSION;
    if (!parameters->device || parameters->deviceType != NV_ENC_DEVICE_TYPE_CUDA) return NV_ENC_ERR_INVALID_DEVICE;
    return (NVENCSTATUS)session_open(parameters->device, (struct session **)handle);
}

static NVENCSTATUS NVENCAPI open_session(void *device, uint32_t type, void **handle) {
    (void)device, (void)type, (void)handle;
    return NV_ENC_ERR_UNIMPLEMENTED;
}

static NVENCSTATUS NVENCAPI codec_guids(void *handle, GUID *guids, uint32_t size, uint32_t *count) {
    CHECK_SESSION(handle);
    *count = 0;
    for (int codec = 0; codec < CODECS; codec++)
        if (*count < size && codec_of_guid(session, *codec_guid(codec)) >= 0) guids[(*count)++] = *codec_guid(codec);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI codec_guid_count(void *handle, uint32_t *count) {
    GUID guids[CODECS];
    return codec_guids(handle, guids, CODECS, count);
}

static NVENCSTATUS NVENCAPI profile_guids(void *handle, GUID codec_guid_, GUID *guids, uint32_t size, uint32_t *count) {
    CHECK_SESSION(handle);
    int codec = codec_of_guid(session, codec_guid_);
    if (codec < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    const GUID *all = profiles(codec, count);
    if (*count > size) *count = size;
    memcpy(guids, all, *count * sizeof *guids);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI profile_guid_count(void *handle, GUID codec_guid_, uint32_t *count) {
    CHECK_SESSION(handle);
    int codec = codec_of_guid(session, codec_guid_);
    if (codec < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    profiles(codec, count);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI input_formats(void *handle, GUID codec_guid_, NV_ENC_BUFFER_FORMAT *list, uint32_t size, uint32_t *count) {
    CHECK_SESSION(handle);
    int codec = codec_of_guid(session, codec_guid_);
    if (codec < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    *count = codec == CODEC_H264 ? 3 : 4;
    if (*count > size) *count = size;
    memcpy(list, formats, *count * sizeof *list);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI input_format_count(void *handle, GUID codec_guid_, uint32_t *count) {
    NV_ENC_BUFFER_FORMAT list[4];
    return input_formats(handle, codec_guid_, list, 4, count);
}

static NVENCSTATUS NVENCAPI encode_caps(void *handle, GUID codec_guid_, NV_ENC_CAPS_PARAM *parameter, int *value) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameter, NV_ENC_CAPS_PARAM_VER);
    int codec = codec_of_guid(session, codec_guid_);
    if (codec < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    *value = capability(codec, parameter->capsToQuery);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI preset_guids(void *handle, GUID codec_guid_, GUID *guids, uint32_t size, uint32_t *count) {
    CHECK_SESSION(handle);
    if (codec_of_guid(session, codec_guid_) < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    for (*count = 0; *count < PRESETS && *count < size; ++*count) guids[*count] = *presets[*count];
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI preset_count(void *handle, GUID codec_guid_, uint32_t *count) {
    CHECK_SESSION(handle);
    *count = PRESETS;
    return codec_of_guid(session, codec_guid_) < 0 ? NV_ENC_ERR_UNSUPPORTED_PARAM : NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI preset_config_ex(void *handle, GUID codec_guid_, GUID preset, NV_ENC_TUNING_INFO tuning,
    NV_ENC_PRESET_CONFIG *result) {
    CHECK_SESSION(handle);
    CHECK_VERSION(result, NV_ENC_PRESET_CONFIG_VER);
    if (!has_version(result->presetCfg.version, NV_ENC_CONFIG_VER)) return NV_ENC_ERR_INVALID_VERSION;
    int codec = codec_of_guid(session, codec_guid_);
    if (codec < 0 || !is_preset(&preset)) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    default_config(codec, tuning == NV_ENC_TUNING_INFO_LOW_LATENCY || tuning == NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY, &result->presetCfg);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI preset_config(void *handle, GUID codec_guid_, GUID preset, NV_ENC_PRESET_CONFIG *result) {
    return preset_config_ex(handle, codec_guid_, preset, NV_ENC_TUNING_INFO_HIGH_QUALITY, result);
}

static NVENCSTATUS NVENCAPI initialise(void *handle, NV_ENC_INITIALIZE_PARAMS *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_INITIALIZE_PARAMS_VER);
    struct settings settings;
    int status = read_settings(session, parameters, &settings);
    return (NVENCSTATUS)(status ? status : session_initialise(session, &settings));
}

static NVENCSTATUS NVENCAPI reconfigure(void *handle, NV_ENC_RECONFIGURE_PARAMS *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_RECONFIGURE_PARAMS_VER);
    CHECK_VERSION(&parameters->reInitEncodeParams, NV_ENC_INITIALIZE_PARAMS_VER);
    struct settings settings;
    int status = read_settings(session, &parameters->reInitEncodeParams, &settings);
    return (NVENCSTATUS)(status ? status : session_reconfigure(session, &settings, parameters->resetEncoder, parameters->forceIDR));
}

static NVENCSTATUS NVENCAPI create_input(void *handle, NV_ENC_CREATE_INPUT_BUFFER *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_CREATE_INPUT_BUFFER_VER);
    int layout = layout_of(parameters->bufferFmt);
    if (layout < 0) return NV_ENC_ERR_UNSUPPORTED_PARAM;
    parameters->inputBuffer = input_create(session, (enum layout)layout, parameters->width, parameters->height);
    return parameters->inputBuffer ? NV_ENC_SUCCESS : NV_ENC_ERR_OUT_OF_MEMORY;
}

static NVENCSTATUS NVENCAPI destroy_input(void *handle, NV_ENC_INPUT_PTR input) {
    CHECK_SESSION(handle);
    return (NVENCSTATUS)input_destroy(session, input_of(input));
}

static NVENCSTATUS NVENCAPI lock_input(void *handle, NV_ENC_LOCK_INPUT_BUFFER *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_LOCK_INPUT_BUFFER_VER);
    struct input *input = input_of(parameters->inputBuffer);
    if (!input || !input->owned) return NV_ENC_ERR_INVALID_PTR;
    if (input->busy) return NV_ENC_ERR_LOCK_BUSY;
    parameters->bufferDataPtr = input->memory;
    parameters->pitch = input->pitch;
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI unlock_input(void *handle, NV_ENC_INPUT_PTR input) {
    CHECK_SESSION(handle);
    return input_of(input) ? NV_ENC_SUCCESS : NV_ENC_ERR_INVALID_PTR;
}

static NVENCSTATUS NVENCAPI create_bitstream(void *handle, NV_ENC_CREATE_BITSTREAM_BUFFER *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_CREATE_BITSTREAM_BUFFER_VER);
    if (double_fault("nvenc.bitstream", session->device, 1)) return NV_ENC_ERR_OUT_OF_MEMORY;
    parameters->bitstreamBuffer = bitstream_create(session);
    return parameters->bitstreamBuffer ? NV_ENC_SUCCESS : NV_ENC_ERR_OUT_OF_MEMORY;
}

static NVENCSTATUS NVENCAPI destroy_bitstream(void *handle, NV_ENC_OUTPUT_PTR bitstream) {
    CHECK_SESSION(handle);
    return (NVENCSTATUS)bitstream_destroy(session, bitstream_of(bitstream));
}

static NVENCSTATUS NVENCAPI register_resource(void *handle, NV_ENC_REGISTER_RESOURCE *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_REGISTER_RESOURCE_VER);
    int layout = layout_of(parameters->bufferFormat), status;
    if (parameters->resourceType != NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR) return NV_ENC_ERR_UNIMPLEMENTED;
    if (layout < 0) return (NVENCSTATUS)session_fail(session, ENC_UNSUPPORTED_PARAM, "buffer format 0x%x",
        (unsigned)parameters->bufferFormat);
    parameters->registeredResource = input_register(session, (CUdeviceptr)parameters->resourceToRegister, (enum layout)layout,
        parameters->width,
                                                    parameters->height, parameters->pitch, &status);
    return (NVENCSTATUS)status;
}

static NVENCSTATUS NVENCAPI unregister_resource(void *handle, NV_ENC_REGISTERED_PTR resource) {
    CHECK_SESSION(handle);
    return (NVENCSTATUS)input_destroy(session, input_of(resource));
}

static NVENCSTATUS NVENCAPI map_resource(void *handle, NV_ENC_MAP_INPUT_RESOURCE *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_MAP_INPUT_RESOURCE_VER);
    struct input *input = input_of(parameters->registeredResource);
    int status = input_map(session, input);
    if (status) return (NVENCSTATUS)status;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (layout_of(formats[i]) == (int)input->layout) parameters->mappedBufferFmt = formats[i];
    parameters->mappedResource = input;
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI unmap_resource(void *handle, NV_ENC_INPUT_PTR resource) {
    CHECK_SESSION(handle);
    return (NVENCSTATUS)input_unmap(session, input_of(resource));
}

static NVENCSTATUS NVENCAPI encode_picture(void *handle, NV_ENC_PIC_PARAMS *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_PIC_PARAMS_VER);
    if (parameters->encodePicFlags & NV_ENC_PIC_FLAG_EOS) return (NVENCSTATUS)session_end_of_stream(session);
    struct job job = {.timestamp = parameters->inputTimeStamp, .duration = parameters->inputDuration};
    job.force_idr = !!(parameters->encodePicFlags & (NV_ENC_PIC_FLAG_FORCEIDR | NV_ENC_PIC_FLAG_FORCEINTRA));
    if (session->settings.codec == CODEC_H264)
        read_sei(parameters->codecPicParams.h264PicParams.seiPayloadArray, parameters->codecPicParams.h264PicParams.seiPayloadArrayCnt,
            &job);
    if (session->settings.codec == CODEC_HEVC)
        read_sei(parameters->codecPicParams.hevcPicParams.seiPayloadArray, parameters->codecPicParams.hevcPicParams.seiPayloadArrayCnt,
            &job);
    return (NVENCSTATUS)session_encode(session, input_of(parameters->inputBuffer), bitstream_of(parameters->outputBitstream), &job);
}

static NVENCSTATUS NVENCAPI lock_bitstream(void *handle, NV_ENC_LOCK_BITSTREAM *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_LOCK_BITSTREAM_VER);
    struct bitstream *bitstream = bitstream_of(parameters->outputBitstream);
    int status = bitstream_lock(session, bitstream, !parameters->doNotWait);
    if (status) return (NVENCSTATUS)status;
    parameters->bitstreamBufferPtr = bitstream->data;
    parameters->bitstreamSizeInBytes = (uint32_t)bitstream->length;
    parameters->outputTimeStamp = bitstream->timestamp;
    parameters->outputDuration = bitstream->duration;
    parameters->frameIdx = bitstream->frame;
    parameters->pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
    parameters->pictureType = (NV_ENC_PIC_TYPE)bitstream->type;
    parameters->frameAvgQP = (uint32_t)bitstream->qp;
    parameters->hwEncodeStatus = 2; // encode completed
    parameters->numSlices = 1;
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI unlock_bitstream(void *handle, NV_ENC_OUTPUT_PTR bitstream) {
    CHECK_SESSION(handle);
    return (NVENCSTATUS)bitstream_unlock(session, bitstream_of(bitstream));
}

static NVENCSTATUS NVENCAPI sequence_params(void *handle, NV_ENC_SEQUENCE_PARAM_PAYLOAD *parameters) {
    CHECK_SESSION(handle);
    CHECK_VERSION(parameters, NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER);
    if (!session->encoder) return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    if (!parameters->spsppsBuffer || !parameters->outSPSPPSPayloadSize) return NV_ENC_ERR_INVALID_PTR;
    pthread_mutex_lock(&session->lock);
    session_settle(session);
    size_t length = session->kind->headers(session->encoder, parameters->spsppsBuffer, parameters->inBufferSize);
    pthread_mutex_unlock(&session->lock);
    *parameters->outSPSPPSPayloadSize = (uint32_t)length;
    return length ? NV_ENC_SUCCESS : NV_ENC_ERR_INVALID_PARAM;
}

static NVENCSTATUS NVENCAPI set_streams(void *handle, NV_ENC_CUSTREAM_PTR input, NV_ENC_CUSTREAM_PTR output) {
    CHECK_SESSION(handle);
    if (!input || !output) return NV_ENC_ERR_INVALID_PTR;
    session->has_input_stream = 1;
    session->input_stream = *(CUstream *)input; // pointers to the streams, not the streams
    session->output_stream = *(CUstream *)output;
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS NVENCAPI invalidate_references(void *handle, uint64_t timestamp) {
    CHECK_SESSION(handle);
    (void)timestamp;
    return NV_ENC_ERR_UNIMPLEMENTED; // the capability says so
}

static NVENCSTATUS NVENCAPI encode_stats(void *handle, NV_ENC_STAT *stats) {
    (void)handle, (void)stats;
    return NV_ENC_ERR_UNIMPLEMENTED;
}

static NVENCSTATUS NVENCAPI async_event(void *handle, NV_ENC_EVENT_PARAMS *parameters) {
    (void)handle, (void)parameters;
    return NV_ENC_ERR_UNIMPLEMENTED; // Windows only
}

static NVENCSTATUS NVENCAPI destroy(void *handle) {
    struct session *session = handle;
    int status = session_check(session);
    // A session on a dead device must still go away.
    if (status && status != ENC_DEVICE_NOT_EXIST) return (NVENCSTATUS)status;
    return (NVENCSTATUS)session_close(session);
}

static const char *NVENCAPI last_error(void *handle) {
    struct session *session = handle;
    int status = session_check(session);
    return status && status != ENC_DEVICE_NOT_EXIST ? "not a session" : session->error;
}

int ENTRY(void *list) {
    NV_ENCODE_API_FUNCTION_LIST *functions = list;
    CHECK_VERSION(functions, NV_ENCODE_API_FUNCTION_LIST_VER);
    functions->nvEncOpenEncodeSession = open_session;
    functions->nvEncOpenEncodeSessionEx = open_session_ex;
    functions->nvEncGetEncodeGUIDCount = codec_guid_count;
    functions->nvEncGetEncodeGUIDs = codec_guids;
    functions->nvEncGetEncodeProfileGUIDCount = profile_guid_count;
    functions->nvEncGetEncodeProfileGUIDs = profile_guids;
    functions->nvEncGetInputFormatCount = input_format_count;
    functions->nvEncGetInputFormats = input_formats;
    functions->nvEncGetEncodeCaps = encode_caps;
    functions->nvEncGetEncodePresetCount = preset_count;
    functions->nvEncGetEncodePresetGUIDs = preset_guids;
    functions->nvEncGetEncodePresetConfig = preset_config;
    functions->nvEncGetEncodePresetConfigEx = preset_config_ex;
    functions->nvEncInitializeEncoder = initialise;
    functions->nvEncReconfigureEncoder = reconfigure;
    functions->nvEncCreateInputBuffer = create_input;
    functions->nvEncDestroyInputBuffer = destroy_input;
    functions->nvEncLockInputBuffer = lock_input;
    functions->nvEncUnlockInputBuffer = unlock_input;
    functions->nvEncCreateBitstreamBuffer = create_bitstream;
    functions->nvEncDestroyBitstreamBuffer = destroy_bitstream;
    functions->nvEncRegisterResource = register_resource;
    functions->nvEncUnregisterResource = unregister_resource;
    functions->nvEncMapInputResource = map_resource;
    functions->nvEncUnmapInputResource = unmap_resource;
    functions->nvEncEncodePicture = encode_picture;
    functions->nvEncLockBitstream = lock_bitstream;
    functions->nvEncUnlockBitstream = unlock_bitstream;
    functions->nvEncGetSequenceParams = sequence_params;
    functions->nvEncSetIOCudaStreams = set_streams;
    functions->nvEncInvalidateRefFrames = invalidate_references;
    functions->nvEncGetEncodeStats = encode_stats;
    functions->nvEncRegisterAsyncEvent = async_event;
    functions->nvEncUnregisterAsyncEvent = async_event;
    functions->nvEncDestroyEncoder = destroy;
    functions->nvEncGetLastErrorString = last_error;
    return ENC_SUCCESS;
}
