// What the encoder can do, in the terms of the header that entry.c is compiled with. Included by entry.c alone.
#pragma once
#include "session.h"

#include <string.h>

#if NVENCAPI_MAJOR_VERSION >= 12
#define CODECS 3
#else
#define CODECS 2
#endif

static const GUID *codec_guid(enum codec codec) {
#if CODECS == 3
    if (codec == CODEC_AV1) return &NV_ENC_CODEC_AV1_GUID;
#endif
    return codec == CODEC_HEVC ? &NV_ENC_CODEC_HEVC_GUID : &NV_ENC_CODEC_H264_GUID;
}

static int same(const GUID *a, const GUID *b) {
    return !memcmp(a, b, sizeof *a);
}

// Which codec, -1 for none that this device encodes.
static int codec_of_guid(const struct session *session, GUID guid) {
    for (int codec = 0; codec < CODECS; codec++) {
        static const char *const refusals[] = {"nvenc.no_h264", "nvenc.no_hevc", "nvenc.no_av1"};
        if (same(&guid, codec_guid(codec))) return double_fault(refusals[codec], session->device, 1) ? -1 : codec;
    }
    return -1;
}

static const GUID *profiles(int codec, uint32_t *count) {
    static GUID h264[4], hevc[3];
    h264[0] = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    h264[1] = NV_ENC_H264_PROFILE_BASELINE_GUID;
    h264[2] = NV_ENC_H264_PROFILE_MAIN_GUID;
    h264[3] = NV_ENC_H264_PROFILE_HIGH_GUID;
    hevc[0] = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    hevc[1] = NV_ENC_HEVC_PROFILE_MAIN_GUID;
    hevc[2] = NV_ENC_HEVC_PROFILE_MAIN10_GUID;
#if CODECS == 3
    static GUID av1[2];
    av1[0] = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    av1[1] = NV_ENC_AV1_PROFILE_MAIN_GUID;
    if (codec == CODEC_AV1) return *count = 2, av1;
#endif
    *count = codec == CODEC_HEVC ? 3 : 4;
    return codec == CODEC_HEVC ? hevc : h264;
}

static const NV_ENC_BUFFER_FORMAT formats[] = {NV_ENC_BUFFER_FORMAT_NV12, NV_ENC_BUFFER_FORMAT_YV12, NV_ENC_BUFFER_FORMAT_IYUV,
    NV_ENC_BUFFER_FORMAT_YUV420_10BIT};

static int layout_of(NV_ENC_BUFFER_FORMAT format) {
    switch (format) {
    case NV_ENC_BUFFER_FORMAT_NV12: return LAYOUT_NV12;
    case NV_ENC_BUFFER_FORMAT_YV12: return LAYOUT_YV12;
    case NV_ENC_BUFFER_FORMAT_IYUV: return LAYOUT_IYUV;
    case NV_ENC_BUFFER_FORMAT_YUV420_10BIT: return LAYOUT_P010;
    default: return -1;
    }
}

static int capability(int codec, NV_ENC_CAPS which) {
    switch ((int)which) {
    case NV_ENC_CAPS_NUM_MAX_BFRAMES: return codec == CODEC_H264 ? 4 : 0;
    case NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES: return 1 | 2 | NV_ENC_PARAMS_RC_CBR | NV_ENC_PARAMS_RC_VBR;
    case NV_ENC_CAPS_SUPPORT_CABAC: return codec == CODEC_H264;
    case NV_ENC_CAPS_SUPPORT_BDIRECT_MODE:
    case NV_ENC_CAPS_SUPPORT_ADAPTIVE_TRANSFORM: return codec == CODEC_H264;
    case NV_ENC_CAPS_LEVEL_MAX: return codec == CODEC_H264 ? 52 : codec == CODEC_HEVC ? 186 : 23;
    case NV_ENC_CAPS_LEVEL_MIN: return codec == CODEC_H264 ? 10 : codec == CODEC_HEVC ? 30 : 0;
    case NV_ENC_CAPS_WIDTH_MAX:
    case NV_ENC_CAPS_HEIGHT_MAX: return codec == CODEC_H264 ? 4096 : 8192;
    case NV_ENC_CAPS_WIDTH_MIN: return 145;
    case NV_ENC_CAPS_HEIGHT_MIN: return 49;
    case NV_ENC_CAPS_MB_NUM_MAX: return codec == CODEC_H264 ? 65536 : 262144;
    case NV_ENC_CAPS_MB_PER_SEC_MAX: return 983040;
    case NV_ENC_CAPS_SUPPORT_10BIT_ENCODE: return codec != CODEC_H264;
    case NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE:
    case NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE:
    case NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE:
    case NV_ENC_CAPS_SUPPORT_LOOKAHEAD:
    case NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ:
    case NV_ENC_CAPS_SUPPORT_MULTIPLE_REF_FRAMES:
    case NV_ENC_CAPS_DYNAMIC_QUERY_ENCODER_CAPACITY:
    case NV_ENC_CAPS_NUM_ENCODER_ENGINES: return 1;
    case NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE: return codec == CODEC_H264 ? 2 : 0;
    default: return 0;
    }
}

static const GUID *const presets[] = {&NV_ENC_PRESET_P1_GUID, &NV_ENC_PRESET_P2_GUID, &NV_ENC_PRESET_P3_GUID, &NV_ENC_PRESET_P4_GUID,
                                      &NV_ENC_PRESET_P5_GUID, &NV_ENC_PRESET_P6_GUID, &NV_ENC_PRESET_P7_GUID};
#define PRESETS (sizeof presets / sizeof presets[0])

static int is_preset(const GUID *guid) {
    for (size_t i = 0; i < PRESETS; i++)
        if (same(guid, presets[i])) return 1;
    return 0;
}
