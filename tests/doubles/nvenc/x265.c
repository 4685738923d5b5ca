// HEVC over x265, 8 and 10 bit, without B frames (the capability says so) and without any delay of its own.
#include "planar.h"

#include <stdlib.h>
#include <string.h>
#include <x265.h>

struct encoder {
    const x265_api *api;
    x265_encoder *x265;
    x265_param *parameters;
    struct planar planar;
    uint8_t *data;
    size_t capacity;
    int repeat_headers, no_headers, sent_headers;
};

static void set_rate(x265_param *parameters, const struct settings *settings) {
    if (settings->mode == RATE_CONSTANT_QP) {
        parameters->rc.rateControlMode = X265_RC_CQP;
        parameters->rc.qp = (int)settings->qp;
        return;
    }
    int rate = (int)(settings->bitrate / 1000);
    int most = settings->mode == RATE_CONSTANT || !settings->max_bitrate ? rate : (int)(settings->max_bitrate / 1000);
    parameters->rc.rateControlMode = X265_RC_ABR;
    parameters->rc.bitrate = rate;
    parameters->rc.vbvMaxBitrate = settings->vbv_bits ? (most < rate ? rate : most) : 0;
    parameters->rc.vbvBufferSize = (int)(settings->vbv_bits / 1000);
}

static void set_stream(x265_param *parameters, const struct settings *settings) {
    parameters->sourceWidth = (int)settings->width;
    parameters->sourceHeight = (int)settings->height;
    parameters->fpsNum = settings->rate_numerator;
    parameters->fpsDenom = settings->rate_denominator;
    parameters->internalCsp = X265_CSP_I420;
    parameters->internalBitDepth = settings->ten_bit ? 10 : 8;
    parameters->sourceBitDepth = parameters->internalBitDepth;
    parameters->bAnnexB = 1;
    parameters->bRepeatHeaders = 1; // those that are not wanted are dropped again
    parameters->bEnableAccessUnitDelimiters = settings->delimiters;
    parameters->bEmitInfoSEI = 0;
    parameters->logLevel = X265_LOG_NONE;
    parameters->vui.bEnableVideoFullRangeFlag = settings->full_range;
    parameters->vui.bEnableVideoSignalTypePresentFlag = settings->has_colour || settings->full_range;
    parameters->vui.bEnableColorDescriptionPresentFlag = settings->has_colour;
    if (!settings->has_colour) return;
    parameters->vui.colorPrimaries = settings->primaries;
    parameters->vui.transferCharacteristics = settings->transfer;
    parameters->vui.matrixCoeffs = settings->matrix;
}

static void set_structure(x265_param *parameters, const struct settings *settings, const x265_api *api) {
    int endless = settings->gop_length == UINT32_MAX || settings->gop_length == 0;
    parameters->keyframeMax = endless ? -1 : (int)settings->gop_length;
    parameters->keyframeMin = 1;
    parameters->scenecutThreshold = 0;
    parameters->bOpenGOP = 0;
    parameters->bframes = 0;
    parameters->lookaheadDepth = 0;
    parameters->frameNumThreads = 1;
    parameters->bEnableWavefront = 0;
    api->param_parse(parameters, "pools", "none");
}

static void close_x265(struct encoder *encoder) {
    if (encoder->x265) encoder->api->encoder_close(encoder->x265);
    if (encoder->parameters) encoder->api->param_free(encoder->parameters);
    planar_close(&encoder->planar);
    free(encoder->data);
    free(encoder);
}

static struct encoder *open_x265(const struct settings *settings, const char **refusal) {
    struct encoder *encoder = calloc(1, sizeof *encoder);
    encoder->api = x265_api_get(settings->ten_bit ? 10 : 8);
    *refusal = "x265 has no such bit depth";
    if (encoder->api && planar_open(&encoder->planar, settings)) {
        *refusal = "x265 refuses these parameters";
        encoder->parameters = encoder->api->param_alloc();
        encoder->api->param_default_preset(encoder->parameters, "ultrafast", "zerolatency");
        set_stream(encoder->parameters, settings);
        set_structure(encoder->parameters, settings, encoder->api);
        set_rate(encoder->parameters, settings);
        encoder->repeat_headers = settings->repeat_headers;
        encoder->no_headers = settings->no_headers;
        encoder->x265 = encoder->api->encoder_open(encoder->parameters);
    }
    if (encoder->x265) return encoder;
    close_x265(encoder);
    return NULL;
}

static uint32_t delay_x265(struct encoder *encoder) {
    (void)encoder;
    return 0;
}

static int is_parameter_set(const x265_nal *nal) {
    return nal->type == NAL_UNIT_VPS || nal->type == NAL_UNIT_SPS || nal->type == NAL_UNIT_PPS;
}

static size_t gather(struct encoder *encoder, const x265_nal *nals, uint32_t count, int idr) {
    size_t length = 0, total = 0;
    for (uint32_t i = 0; i < count; i++) total += nals[i].sizeBytes;
    if (encoder->capacity < total) {
        free(encoder->data);
        encoder->data = malloc(total);
        encoder->capacity = total;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_parameter_set(&nals[i]) && (encoder->no_headers || (encoder->sent_headers && !encoder->repeat_headers))) continue;
        memcpy(encoder->data + length, nals[i].payload, nals[i].sizeBytes);
        length += nals[i].sizeBytes;
    }
    encoder->sent_headers |= idr;
    return length;
}

static int encode_x265(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr, const struct sei *sei,
    size_t sei_count, struct coded *coded) {
    x265_picture input, output = {0};
    x265_sei_payload payloads[SEI_LIMIT];
    x265_nal *nals;
    uint32_t count;
    encoder->api->picture_init(encoder->parameters, &input);
    if (samples) {
        planar_fill(&encoder->planar, samples);
        for (int plane = 0; plane < 3; plane++) {
            input.planes[plane] = encoder->planar.planes[plane];
            input.stride[plane] = (int)encoder->planar.strides[plane];
        }
        input.pts = (int64_t)number;
        input.sliceType = force_idr ? X265_TYPE_IDR : X265_TYPE_AUTO;
        for (size_t i = 0; i < sei_count; i++) payloads[i] = (x265_sei_payload){(int)sei[i].size, (SEIPayloadType)sei[i].type,
            sei[i].payload};
        input.userSEI = (x265_sei){(int)sei_count, sei_count ? payloads : NULL};
    }
    int result = encoder->api->encoder_encode(encoder->x265, &nals, &count, samples ? &input : NULL, &output);
    if (result <= 0) return result < 0 ? -1 : 0;
    int idr = output.sliceType == X265_TYPE_IDR;
    coded->length = gather(encoder, nals, count, idr);
    coded->data = encoder->data;
    coded->number = (uint64_t)output.pts;
    coded->type = idr ? PICTURE_IDR : output.sliceType == X265_TYPE_I ? PICTURE_I : PICTURE_P;
    coded->qp = (int)output.frameData.qp;
    return 1;
}

static int reconfigure_x265(struct encoder *encoder, const struct settings *settings) {
    set_rate(encoder->parameters, settings);
    return encoder->api->encoder_reconfig(encoder->x265, encoder->parameters) >= 0;
}

static size_t headers_x265(struct encoder *encoder, uint8_t *data, size_t size) {
    x265_nal *nals;
    uint32_t count;
    size_t length = 0;
    if (encoder->api->encoder_headers(encoder->x265, &nals, &count) < 0) return 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_parameter_set(&nals[i])) continue;
        if (length + nals[i].sizeBytes > size) return 0;
        memcpy(data + length, nals[i].payload, nals[i].sizeBytes);
        length += nals[i].sizeBytes;
    }
    return length;
}

const struct encoder_kind x265_kind = {open_x265, delay_x265, encode_x265, reconfigure_x265, headers_x265, close_x265};
