// Presets, and what a client's configuration says, in the neutral terms of session.h. Included by entry.c alone.
#pragma once
#include "entry_codecs.h"

// A struct is taken when its revision and its API's major version are this header's; the layout depends on nothing else.
static int has_version(uint32_t given, uint32_t ours) {
    return (given & 0x70ff00ffu) == (ours & 0x70ff00ffu);
}

static void default_config(int codec, int low_latency, NV_ENC_CONFIG *config) {
    memset(config, 0, sizeof *config);
    config->version = NV_ENC_CONFIG_VER;
    config->gopLength = low_latency ? NVENC_INFINITE_GOPLENGTH : 250;
    config->frameIntervalP = low_latency || codec != CODEC_H264 ? 1 : 3;
    config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    config->mvPrecision = NV_ENC_MV_PRECISION_QUARTER_PEL;
    config->profileGUID = codec == CODEC_H264 ? NV_ENC_H264_PROFILE_HIGH_GUID : codec == CODEC_HEVC
        ? NV_ENC_HEVC_PROFILE_MAIN_GUID : NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    config->rcParams.version = NV_ENC_RC_PARAMS_VER;
    config->rcParams.rateControlMode = low_latency ? NV_ENC_PARAMS_RC_CBR : NV_ENC_PARAMS_RC_VBR;
    config->rcParams.averageBitRate = 4000000;
    config->rcParams.constQP = (NV_ENC_QP){28, 31, 25};
    if (codec == CODEC_H264) {
        config->encodeCodecConfig.h264Config.idrPeriod = config->gopLength;
        config->encodeCodecConfig.h264Config.chromaFormatIDC = 1;
    } else if (codec == CODEC_HEVC) {
        config->encodeCodecConfig.hevcConfig.idrPeriod = config->gopLength;
        config->encodeCodecConfig.hevcConfig.chromaFormatIDC = 1;
    }
#if CODECS == 3
    if (codec == CODEC_AV1) {
        config->encodeCodecConfig.av1Config.idrPeriod = config->gopLength;
        config->encodeCodecConfig.av1Config.chromaFormatIDC = 1;
    }
#endif
}

static void read_rate(const NV_ENC_RC_PARAMS *rate, struct settings *settings) {
    settings->mode = rate->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP
        ? RATE_CONSTANT_QP : rate->rateControlMode == NV_ENC_PARAMS_RC_VBR ? RATE_VARIABLE : RATE_CONSTANT;
    settings->qp = rate->constQP.qpInterP;
    settings->bitrate = rate->averageBitRate ? rate->averageBitRate : 2000000;
    settings->max_bitrate = rate->maxBitRate;
    settings->vbv_bits = rate->vbvBufferSize;
    settings->vbv_initial_bits = rate->vbvInitialDelay;
    settings->look_ahead = rate->enableLookahead ? rate->lookaheadDepth : 0;
}

static void read_colour(const NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui, struct settings *settings) {
    settings->full_range = vui->videoSignalTypePresentFlag && vui->videoFullRangeFlag;
    settings->has_colour = vui->videoSignalTypePresentFlag && vui->colourDescriptionPresentFlag;
    settings->primaries = (int)vui->colourPrimaries;
    settings->transfer = (int)vui->transferCharacteristics;
    settings->matrix = (int)vui->colourMatrix;
}

static void read_h264(const NV_ENC_CONFIG *config, struct settings *settings) {
    const NV_ENC_CONFIG_H264 *h264 = &config->encodeCodecConfig.h264Config;
    settings->repeat_headers = h264->repeatSPSPPS;
    settings->no_headers = h264->disableSPSPPS;
    settings->delimiters = h264->outputAUD;
    settings->level = h264->level;
    settings->entropy = h264->entropyCodingMode == NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC ? ENTROPY_CAVLC : ENTROPY_CABAC;
    settings->profile = same(&config->profileGUID, &NV_ENC_H264_PROFILE_BASELINE_GUID) ? 1 : same(&config->profileGUID,
        &NV_ENC_H264_PROFILE_MAIN_GUID) ? 2
        : same(&config->profileGUID, &NV_ENC_H264_PROFILE_HIGH_GUID) ? 3 : 0;
    read_colour(&h264->h264VUIParameters, settings);
}

static void read_hevc(const NV_ENC_CONFIG *config, struct settings *settings) {
    const NV_ENC_CONFIG_HEVC *hevc = &config->encodeCodecConfig.hevcConfig;
    settings->repeat_headers = hevc->repeatSPSPPS;
    settings->no_headers = hevc->disableSPSPPS;
    settings->delimiters = hevc->outputAUD;
    settings->ten_bit = hevc->pixelBitDepthMinus8 == 2;
    read_colour(&hevc->hevcVUIParameters, settings);
}

static void read_av1(const NV_ENC_CONFIG *config, struct settings *settings) {
#if CODECS == 3
    const NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    settings->ten_bit = av1->pixelBitDepthMinus8 == 2;
    settings->repeat_headers = av1->repeatSeqHdr;
    settings->no_headers = av1->disableSeqHdr;
    settings->has_colour = av1->colorPrimaries || av1->matrixCoefficients;
    settings->full_range = (int)av1->colorRange;
    settings->primaries = (int)av1->colorPrimaries;
    settings->transfer = (int)av1->transferCharacteristics;
    settings->matrix = (int)av1->matrixCoefficients;
#else
    (void)config, (void)settings;
#endif
}

static int read_settings(struct session *session, const NV_ENC_INITIALIZE_PARAMS *parameters, struct settings *settings) {
    const NV_ENC_CONFIG *config = parameters->encodeConfig;
    NV_ENC_CONFIG from_preset;
    int codec = codec_of_guid(session, parameters->encodeGUID);
    if (codec < 0) return session_fail(session, ENC_UNSUPPORTED_PARAM, "the codec is not encoded here");
    if (!is_preset(&parameters->presetGUID)) return session_fail(session, ENC_UNSUPPORTED_PARAM, "not one of the presets P1 to P7");
    if (!parameters->enablePTD) return session_fail(session, ENC_UNSUPPORTED_PARAM, "picture types are decided here only");
    if (parameters->enableEncodeAsync) return session_fail(session, ENC_UNSUPPORTED_PARAM, "completion events are a matter of Windows");
    if (config && !has_version(config->version, NV_ENC_CONFIG_VER)) return ENC_INVALID_VERSION;
    if (!config) default_config(codec, 0, &from_preset), config = &from_preset;
    *settings = (struct settings){.codec = (enum codec)codec, .width = parameters->encodeWidth, .height = parameters->encodeHeight,
                                  .max_width = parameters->maxEncodeWidth, .max_height = parameters->maxEncodeHeight,
                                  .rate_numerator = parameters->frameRateNum, .rate_denominator = parameters->frameRateDen,
                                      .gop_length = config->gopLength};
    settings->b_frames = config->frameIntervalP > 1 ? (uint32_t)config->frameIntervalP - 1 : 0;
    if (config->gopLength != NVENC_INFINITE_GOPLENGTH && config->frameIntervalP > (int)config->gopLength)
        return session_fail(session, ENC_INVALID_PARAM, "frameIntervalP is larger than the GOP");
    read_rate(&config->rcParams, settings);
    if (codec == CODEC_H264) read_h264(config, settings);
    if (codec == CODEC_HEVC) read_hevc(config, settings);
    if (codec == CODEC_AV1) read_av1(config, settings);
    return ENC_SUCCESS;
}

static void read_sei(const NV_ENC_SEI_PAYLOAD *payloads, uint32_t count, struct job *job) {
    for (uint32_t i = 0; payloads && i < count && i < SEI_LIMIT; i++)
        job->sei[job->sei_count++] = (struct sei){payloads[i].payloadType, payloads[i].payloadSize, payloads[i].payload};
}
