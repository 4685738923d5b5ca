// AV1 over SVT-AV1, low delay: a packet for every picture.
#include "planar.h"

#include <stdlib.h>
#include <string.h>
#include <svt-av1/EbSvtAv1Enc.h>

struct encoder {
    EbComponentType *svt;
    struct planar planar;
    EbBufferHeaderType *packet;
    int ten_bit, flushed;
    uint64_t sent, received;
};

static void set_rate(EbSvtAv1EncConfiguration *config, const struct settings *settings) {
    config->rate_control_mode = settings->mode == RATE_CONSTANT_QP ? 0 : 2; // constant bit rate is the only one with low delay
    config->qp = settings->qp > 63 ? 63 : settings->qp ? settings->qp : 30;
    config->enable_adaptive_quantization = settings->mode == RATE_CONSTANT_QP ? 0 : 2;
    config->target_bit_rate = settings->bitrate;
}

static void set_stream(EbSvtAv1EncConfiguration *config, const struct settings *settings) {
    config->source_width = settings->width;
    config->source_height = settings->height;
    config->frame_rate_numerator = settings->rate_numerator;
    config->frame_rate_denominator = settings->rate_denominator;
    config->encoder_bit_depth = settings->ten_bit ? 10 : 8;
    config->encoder_color_format = EB_YUV420;
    config->enc_mode = 12;
    config->pred_structure = 1; // low delay, P frames only
    config->look_ahead_distance = 0;
    config->intra_refresh_type = SVT_AV1_KF_REFRESH;
    config->intra_period_length = settings->gop_length == UINT32_MAX || !settings->gop_length ? -1 : (int32_t)settings->gop_length - 1;
    config->force_key_frames = 1;
    config->scene_change_detection = 0;
    config->logical_processors = 1;
    config->color_range = settings->full_range ? EB_CR_FULL_RANGE : EB_CR_STUDIO_RANGE;
    if (!settings->has_colour) return;
    config->color_primaries = (EbColorPrimaries)settings->primaries;
    config->transfer_characteristics = (EbTransferCharacteristics)settings->transfer;
    config->matrix_coefficients = (EbMatrixCoefficients)settings->matrix;
}

static void close_svt(struct encoder *encoder) {
    if (encoder->packet) svt_av1_enc_release_out_buffer(&encoder->packet);
    if (encoder->svt) {
        svt_av1_enc_deinit(encoder->svt);
        svt_av1_enc_deinit_handle(encoder->svt);
    }
    planar_close(&encoder->planar);
    free(encoder);
}

static struct encoder *open_svt(const struct settings *settings, const char **refusal) {
    struct encoder *encoder = calloc(1, sizeof *encoder);
    EbSvtAv1EncConfiguration config;
    setenv("SVT_LOG", "-1", 0); // else it writes its banner over the client's output
    encoder->ten_bit = settings->ten_bit;
    *refusal = "SVT-AV1 refuses these parameters";
    if (planar_open(&encoder->planar, settings) && svt_av1_enc_init_handle(&encoder->svt, NULL, &config) == EB_ErrorNone) {
        set_stream(&config, settings);
        set_rate(&config, settings);
        if (svt_av1_enc_set_parameter(encoder->svt, &config) == EB_ErrorNone && svt_av1_enc_init(encoder->svt) == EB_ErrorNone) return encoder;
    }
    close_svt(encoder);
    return NULL;
}

static uint32_t delay_svt(struct encoder *encoder) {
    (void)encoder;
    return 0;
}

static void send_picture(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr) {
    planar_fill(&encoder->planar, samples);
    uint32_t sample = encoder->ten_bit ? 2 : 1;
    EbSvtIOFormat picture = {.luma = encoder->planar.planes[0], .cb = encoder->planar.planes[1], .cr = encoder->planar.planes[2],
                             .y_stride = (uint32_t)encoder->planar.strides[0] / sample, .cb_stride = (uint32_t)encoder->planar.strides[1] / sample,
                             .cr_stride = (uint32_t)encoder->planar.strides[2] / sample, .width = encoder->planar.width, .height = encoder->planar.height,
                             .color_fmt = EB_YUV420, .bit_depth = encoder->ten_bit ? EB_TEN_BIT : EB_EIGHT_BIT};
    EbBufferHeaderType header = {.size = sizeof header, .p_buffer = (uint8_t *)&picture, .pts = (int64_t)number,
                                 .pic_type = force_idr ? EB_AV1_KEY_PICTURE : EB_AV1_INVALID_PICTURE};
    header.n_filled_len = header.n_alloc_len = encoder->planar.width * encoder->planar.height * 3 / 2 * sample;
    if (svt_av1_enc_send_picture(encoder->svt, &header) == EB_ErrorNone) encoder->sent++;
}

static int encode_svt(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr, const struct sei *sei, size_t sei_count,
                      struct coded *coded) {
    (void)sei, (void)sei_count; // AV1 has no SEI
    if (encoder->packet) svt_av1_enc_release_out_buffer(&encoder->packet);
    encoder->packet = NULL;
    if (samples) send_picture(encoder, samples, number, force_idr);
    if (encoder->received == encoder->sent) return 0;
    // Waits for the packet: low delay gives one for each picture.
    if (svt_av1_enc_get_packet(encoder->svt, &encoder->packet, 1) != EB_ErrorNone) return -1;
    encoder->received++;
    coded->data = encoder->packet->p_buffer;
    coded->length = encoder->packet->n_filled_len;
    coded->number = (uint64_t)encoder->packet->pts;
    coded->type = encoder->packet->pic_type == EB_AV1_KEY_PICTURE ? PICTURE_IDR : PICTURE_P;
    coded->qp = (int)encoder->packet->qp;
    return 1;
}

static int reconfigure_svt(struct encoder *encoder, const struct settings *settings) {
    (void)encoder, (void)settings;
    return 0; // this version of the library cannot change its rate
}

static size_t headers_svt(struct encoder *encoder, uint8_t *data, size_t size) {
    EbBufferHeaderType *header;
    if (svt_av1_enc_stream_header(encoder->svt, &header) != EB_ErrorNone) return 0;
    size_t length = header->n_filled_len <= size ? header->n_filled_len : 0;
    memcpy(data, header->p_buffer, length);
    svt_av1_enc_stream_header_release(header);
    return length;
}

const struct encoder_kind svtav1_kind = {open_svt, delay_svt, encode_svt, reconfigure_svt, headers_svt, close_svt};
