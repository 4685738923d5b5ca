// AV1 over libaom in its real-time mode: a picture in, a picture out.
#include "planar.h"

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
    aom_codec_ctx_t aom;
    aom_codec_enc_cfg_t config;
    struct planar planar;
    int is_open;
};

static void set_rate(aom_codec_enc_cfg_t *config, const struct settings *settings) {
    config->rc_end_usage = settings->mode == RATE_CONSTANT_QP ? AOM_Q : settings->mode == RATE_CONSTANT ? AOM_CBR : AOM_VBR;
    config->rc_target_bitrate = settings->bitrate / 1000;
    // In milliseconds; the library's own buffer of six seconds would hide a change of rate for as long.
    config->rc_buf_sz = 1000;
    config->rc_buf_initial_sz = 500;
    config->rc_buf_optimal_sz = 600;
    if (settings->mode != RATE_CONSTANT_QP) return;
    unsigned level = settings->qp > 255 ? 63 : settings->qp / 4; // NVENC counts 0 to 255, libaom 0 to 63
    config->rc_min_quantizer = config->rc_max_quantizer = level;
}

static void set_stream(aom_codec_enc_cfg_t *config, const struct settings *settings) {
    config->g_w = settings->width;
    config->g_h = settings->height;
    config->g_timebase = (struct aom_rational){(int)settings->rate_denominator, (int)settings->rate_numerator};
    config->g_bit_depth = settings->ten_bit ? AOM_BITS_10 : AOM_BITS_8;
    config->g_input_bit_depth = settings->ten_bit ? 10 : 8;
    config->g_threads = 1;
    config->g_lag_in_frames = 0;
    config->kf_mode = AOM_KF_AUTO;
    config->kf_min_dist = 0;
    config->kf_max_dist = settings->gop_length == UINT32_MAX || !settings->gop_length ? 1u << 30 : settings->gop_length;
    if (config->kf_max_dist != 1u << 30) config->kf_min_dist = config->kf_max_dist; // no scene cuts of its own
}

static void set_colour(struct encoder *encoder, const struct settings *settings) {
    aom_codec_control(&encoder->aom, AOME_SET_CPUUSED, 10);
    aom_codec_control(&encoder->aom, AV1E_SET_COLOR_RANGE, settings->full_range);
    if (settings->mode == RATE_CONSTANT_QP) aom_codec_control(&encoder->aom, AOME_SET_CQ_LEVEL, encoder->config.rc_min_quantizer);
    if (!settings->has_colour) return;
    aom_codec_control(&encoder->aom, AV1E_SET_COLOR_PRIMARIES, settings->primaries);
    aom_codec_control(&encoder->aom, AV1E_SET_TRANSFER_CHARACTERISTICS, settings->transfer);
    aom_codec_control(&encoder->aom, AV1E_SET_MATRIX_COEFFICIENTS, settings->matrix);
}

static void close_aom(struct encoder *encoder) {
    if (encoder->is_open) aom_codec_destroy(&encoder->aom);
    planar_close(&encoder->planar);
    free(encoder);
}

static struct encoder *open_aom(const struct settings *settings, const char **refusal) {
    struct encoder *encoder = calloc(1, sizeof *encoder);
    aom_codec_iface_t *av1 = aom_codec_av1_cx();
    *refusal = "libaom refuses these parameters";
    if (planar_open(&encoder->planar, settings) && aom_codec_enc_config_default(av1, &encoder->config,
        AOM_USAGE_REALTIME) == AOM_CODEC_OK) {
        set_stream(&encoder->config, settings);
        set_rate(&encoder->config, settings);
        encoder->is_open = aom_codec_enc_init(&encoder->aom, av1, &encoder->config, settings->ten_bit
            ? AOM_CODEC_USE_HIGHBITDEPTH : 0) == AOM_CODEC_OK;
    }
    if (encoder->is_open) {
        set_colour(encoder, settings);
        return encoder;
    }
    close_aom(encoder);
    return NULL;
}

static uint32_t delay_aom(struct encoder *encoder) {
    (void)encoder;
    return 0;
}

static int encode_aom(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr, const struct sei *sei,
    size_t sei_count, struct coded *coded) {
    aom_image_t image;
    aom_codec_iter_t iterator = NULL;
    const aom_codec_cx_pkt_t *packet;
    (void)sei, (void)sei_count; // AV1 has no SEI
    if (!samples) return 0; // nothing is ever held back
    planar_fill(&encoder->planar, samples);
    if (!aom_img_wrap(&image, encoder->planar.ten_bit ? AOM_IMG_FMT_I42016 : AOM_IMG_FMT_I420, encoder->planar.width,
        encoder->planar.height, 1, encoder->planar.planes[0])) return -1;
    for (int plane = 0; plane < 3; plane++) {
        image.planes[plane] = encoder->planar.planes[plane];
        image.stride[plane] = (int)encoder->planar.strides[plane];
    }
    image.bit_depth = encoder->planar.ten_bit ? 10 : 8;
    if (aom_codec_encode(&encoder->aom, &image, (aom_codec_pts_t)number, 1, force_idr ? AOM_EFLAG_FORCE_KF : 0) != AOM_CODEC_OK) return -1;
    while ((packet = aom_codec_get_cx_data(&encoder->aom, &iterator))) {
        if (packet->kind != AOM_CODEC_CX_FRAME_PKT) continue;
        coded->data = packet->data.frame.buf;
        coded->length = packet->data.frame.sz;
        coded->number = number;
        coded->type = packet->data.frame.flags & AOM_FRAME_IS_KEY ? PICTURE_IDR : PICTURE_P;
        aom_codec_control(&encoder->aom, AOME_GET_LAST_QUANTIZER, &coded->qp);
        return 1;
    }
    return -1;
}

static int reconfigure_aom(struct encoder *encoder, const struct settings *settings) {
    set_rate(&encoder->config, settings);
    return aom_codec_enc_config_set(&encoder->aom, &encoder->config) == AOM_CODEC_OK;
}

static size_t headers_aom(struct encoder *encoder, uint8_t *data, size_t size) {
    aom_fixed_buf_t *header = aom_codec_get_global_headers(&encoder->aom);
    size_t length = header && header->sz <= size ? header->sz : 0;
    if (length) memcpy(data, header->buf, length);
    if (header) free(header->buf);
    free(header);
    return length;
}

const struct encoder_kind aom_kind = {open_aom, delay_aom, encode_aom, reconfigure_aom, headers_aom, close_aom};
