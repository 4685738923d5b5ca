// H.264 over x264.
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <x264.h>

struct encoder {
    x264_t *x264;
    x264_param_t parameters;
    uint8_t *data, *chroma;
    size_t capacity;
    int repeat_headers, no_headers, sent_headers;
    uint32_t width, height;
};

static void set_rate(x264_param_t *parameters, const struct settings *settings) {
    if (settings->mode == RATE_CONSTANT_QP) {
        parameters->rc.i_rc_method = X264_RC_CQP;
        parameters->rc.i_qp_constant = (int)settings->qp;
        return;
    }
    int rate = (int)(settings->bitrate / 1000);
    int most = settings->mode == RATE_CONSTANT || !settings->max_bitrate ? rate : (int)(settings->max_bitrate / 1000);
    parameters->rc.i_rc_method = X264_RC_ABR;
    parameters->rc.i_bitrate = rate;
    if (!settings->vbv_bits) return;
    parameters->rc.i_vbv_max_bitrate = most < rate ? rate : most;
    parameters->rc.i_vbv_buffer_size = (int)(settings->vbv_bits / 1000);
    if (settings->vbv_initial_bits && settings->vbv_initial_bits <= settings->vbv_bits)
        parameters->rc.f_vbv_buffer_init = (float)settings->vbv_initial_bits / (float)settings->vbv_bits;
}

static void set_stream(x264_param_t *parameters, const struct settings *settings) {
    parameters->i_width = (int)settings->width;
    parameters->i_height = (int)settings->height;
    parameters->i_fps_num = settings->rate_numerator;
    parameters->i_fps_den = settings->rate_denominator;
    parameters->b_vfr_input = 0;
    parameters->i_csp = X264_CSP_NV12;
    parameters->b_annexb = 1;
    parameters->b_repeat_headers = 1; // those that are not wanted are dropped again
    parameters->b_aud = settings->delimiters;
    parameters->i_level_idc = settings->level ? (int)settings->level : -1;
    parameters->vui.b_fullrange = settings->full_range;
    if (!settings->has_colour) return;
    parameters->vui.i_colorprim = settings->primaries;
    parameters->vui.i_transfer = settings->transfer;
    parameters->vui.i_colmatrix = settings->matrix;
}

// The hardware has no scene-cut detection of its own and no open GOPs: an IDR comes at the GOP's length or when forced.
static void set_structure(x264_param_t *parameters, const struct settings *settings) {
    int endless = settings->gop_length == UINT32_MAX || settings->gop_length == 0;
    parameters->i_keyint_max = endless ? X264_KEYINT_MAX_INFINITE : (int)settings->gop_length;
    parameters->i_keyint_min = 1;
    parameters->i_scenecut_threshold = 0;
    parameters->i_bframe = (int)settings->b_frames;
    parameters->i_bframe_adaptive = X264_B_ADAPT_NONE;
    parameters->i_bframe_pyramid = X264_B_PYRAMID_NONE;
    parameters->rc.i_lookahead = (int)settings->look_ahead;
    parameters->rc.b_mb_tree = 0;
    parameters->i_sync_lookahead = 0;
    parameters->i_threads = 1;
    parameters->b_cabac = settings->entropy != ENTROPY_CAVLC && settings->profile != 1;
}

static struct encoder *open_x264(const struct settings *settings, const char **refusal) {
    struct encoder *encoder = calloc(1, sizeof *encoder);
    x264_param_t *parameters = &encoder->parameters;
    x264_param_default_preset(parameters, "superfast", NULL);
    parameters->i_log_level = X264_LOG_NONE;
    set_stream(parameters, settings);
    set_structure(parameters, settings);
    set_rate(parameters, settings);
    if (settings->profile)
        x264_param_apply_profile(parameters, settings->profile == 1 ? "baseline" : settings->profile == 2 ? "main" : "high");
    encoder->repeat_headers = settings->repeat_headers;
    encoder->no_headers = settings->no_headers;
    encoder->width = settings->width;
    encoder->height = settings->height;
    encoder->x264 = x264_encoder_open(parameters);
    encoder->chroma = malloc((size_t)settings->width * settings->height);
    if (encoder->x264 && encoder->chroma) return encoder;
    *refusal = "x264 refuses these parameters";
    free(encoder->chroma);
    free(encoder);
    return NULL;
}

static uint32_t delay_x264(struct encoder *encoder) {
    return (uint32_t)x264_encoder_maximum_delayed_frames(encoder->x264);
}

static void point_at(struct encoder *encoder, const struct samples *samples, x264_image_t *image) {
    image->i_csp = X264_CSP_NV12;
    image->i_plane = 2;
    image->plane[0] = samples->planes[0];
    image->i_stride[0] = samples->strides[0];
    image->plane[1] = samples->planes[1];
    image->i_stride[1] = samples->strides[1];
    if (samples->semi_planar) return;
    for (uint32_t y = 0; y < encoder->height / 2; y++)
        for (uint32_t x = 0; x < encoder->width / 2; x++) {
            uint8_t *pair = encoder->chroma + (size_t)y * encoder->width + x * 2;
            pair[0] = samples->planes[1][(size_t)y * (size_t)samples->strides[1] + x];
            pair[1] = samples->planes[2][(size_t)y * (size_t)samples->strides[2] + x];
        }
    image->plane[1] = encoder->chroma;
    image->i_stride[1] = (int)encoder->width;
}

static int attach_sei(x264_picture_t *picture, const struct sei *sei, size_t count) {
    if (!count) return 1;
    picture->extra_sei.payloads = calloc(count, sizeof *picture->extra_sei.payloads);
    if (!picture->extra_sei.payloads) return 0;
    picture->extra_sei.num_payloads = (int)count;
    for (size_t i = 0; i < count; i++) {
        uint8_t *copy = malloc(sei[i].size ? sei[i].size : 1);
        memcpy(copy, sei[i].payload, sei[i].size);
        picture->extra_sei.payloads[i] = (x264_sei_payload_t){(int)sei[i].size, (int)sei[i].type, copy};
    }
    picture->extra_sei.sei_free = free;
    return 1;
}

// Parameter sets come with the first IDR, with every one only where the client wants it; x264's own signature never comes.
static int is_wanted(const struct encoder *encoder, const x264_nal_t *nal) {
    if (nal->i_type == NAL_SPS || nal->i_type == NAL_PPS)
        return !encoder->no_headers && (encoder->repeat_headers || !encoder->sent_headers);
    return nal->i_type != NAL_SEI || !memmem(nal->p_payload, (size_t)nal->i_payload, "x264 - core", 11);
}

static size_t gather(struct encoder *encoder, const x264_nal_t *nals, int count) {
    size_t length = 0, total = 0;
    int has_slice = 0;
    for (int i = 0; i < count; i++) total += (size_t)nals[i].i_payload;
    if (encoder->capacity < total) {
        free(encoder->data);
        encoder->data = malloc(total);
        encoder->capacity = total;
    }
    for (int i = 0; i < count; i++) {
        has_slice |= nals[i].i_type == NAL_SLICE_IDR;
        if (!is_wanted(encoder, &nals[i])) continue;
        memcpy(encoder->data + length, nals[i].p_payload, (size_t)nals[i].i_payload);
        length += (size_t)nals[i].i_payload;
    }
    encoder->sent_headers |= has_slice;
    return length;
}

static enum picture_type type_of(int type) {
    switch (type) {
    case X264_TYPE_IDR: return PICTURE_IDR;
    case X264_TYPE_I:
    case X264_TYPE_KEYFRAME: return PICTURE_I;
    case X264_TYPE_P: return PICTURE_P;
    default: return PICTURE_B;
    }
}

static int encode_x264(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr, const struct sei *sei,
    size_t sei_count, struct coded *coded) {
    x264_picture_t input, output;
    x264_nal_t *nals;
    int count, size;
    x264_picture_init(&input);
    if (samples) {
        point_at(encoder, samples, &input.img);
        input.i_pts = (int64_t)number;
        input.i_type = force_idr ? X264_TYPE_IDR : X264_TYPE_AUTO;
        if (!attach_sei(&input, sei, sei_count)) return -1;
    } else if (x264_encoder_delayed_frames(encoder->x264) == 0) {
        return 0;
    }
    size = x264_encoder_encode(encoder->x264, &nals, &count, samples ? &input : NULL, &output);
    if (size <= 0) return size < 0 ? -1 : 0;
    coded->length = gather(encoder, nals, count);
    coded->data = encoder->data;
    coded->number = (uint64_t)output.i_pts;
    coded->type = type_of(output.i_type);
    coded->qp = output.i_qpplus1 - 1;
    return 1;
}

static int reconfigure_x264(struct encoder *encoder, const struct settings *settings) {
    x264_param_t parameters;
    x264_encoder_parameters(encoder->x264, &parameters);
    set_rate(&parameters, settings);
    return x264_encoder_reconfig(encoder->x264, &parameters) == 0;
}

static size_t headers_x264(struct encoder *encoder, uint8_t *data, size_t size) {
    x264_nal_t *nals;
    int count;
    size_t length = 0;
    if (x264_encoder_headers(encoder->x264, &nals, &count) < 0) return 0;
    for (int i = 0; i < count; i++) {
        if (nals[i].i_type != NAL_SPS && nals[i].i_type != NAL_PPS) continue;
        if (length + (size_t)nals[i].i_payload > size) return 0;
        memcpy(data + length, nals[i].p_payload, (size_t)nals[i].i_payload);
        length += (size_t)nals[i].i_payload;
    }
    return length;
}

static void close_x264(struct encoder *encoder) {
    x264_encoder_close(encoder->x264);
    free(encoder->data);
    free(encoder->chroma);
    free(encoder);
}

const struct encoder_kind x264_kind = {open_x264, delay_x264, encode_x264, reconfigure_x264, headers_x264, close_x264};
