// The parser: cuts the stream into pictures and calls back in the driver's order: sequence before the first picture and at every
// change of format, decode in coded order, display in display order. libavcodec decodes each picture as it is handed out; what it
// found is shown when the client maps the surface.
#include "internal.h"

#include <libavutil/pixdesc.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CLOCK 10000000

struct slot {
    int busy; // from the decode callback until the display callback
    int64_t picture;
    CUvideotimestamp timestamp;
    void *decoder;
};

struct shown {
    int slot;
    AVFrame *frame;
};

struct parser {
    CUVIDPARSERPARAMS client;
    AVCodecContext *codec;
    AVCodecParserContext *cutter;
    AVPacket *packet;
    AVFrame *frame;
    CUVIDEOFORMAT format;
    struct slot slots[SURFACES];
    struct shown queue[SURFACES]; // in display order, waiting for ulMaxDisplayDelay
    int slot_count, next_slot, queued, has_format;
    int cut_width, cut_height, cut_format;
    int64_t next_picture;
    CUvideotimestamp last_timestamp;
    int has_timestamp;
};

static int open_codec(struct parser *parser) {
    const AVCodec *codec = avcodec_find_decoder(codec_of(parser->client.CodecType));
    parser->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    parser->cutter = av_parser_init(codec_of(parser->client.CodecType));
    parser->packet = av_packet_alloc();
    parser->frame = av_frame_alloc();
    if (!parser->codec || !parser->cutter || !parser->packet || !parser->frame) return 0;
    parser->codec->thread_count = 1; // no pictures held back beyond the stream's own reordering
    parser->codec->pkt_timebase = (AVRational){1, DEFAULT_CLOCK};
    return avcodec_open2(parser->codec, codec, NULL) >= 0;
}

DOUBLE_EXPORT CUresult cuvidDestroyVideoParser(CUvideoparser handle) {
    struct parser *parser = handle;
    if (!parser) return (CUresult)CUDA_INVALID_HANDLE;
    for (int i = 0; i < parser->queued; i++) av_frame_free(&parser->queue[i].frame);
    if (parser->cutter) av_parser_close(parser->cutter);
    avcodec_free_context(&parser->codec);
    av_packet_free(&parser->packet);
    av_frame_free(&parser->frame);
    free(parser);
    return CUDA_SUCCESS;
}

static int take_header(struct parser *parser);

DOUBLE_EXPORT CUresult cuvidCreateVideoParser(CUvideoparser *handle, CUVIDPARSERPARAMS *client) {
    if (!handle || !client || !client->pfnDecodePicture) return (CUresult)CUDA_INVALID_VALUE;
    if (codec_of(client->CodecType) == AV_CODEC_ID_NONE) return (CUresult)CUDA_NOT_SUPPORTED;
    struct parser *parser = calloc(1, sizeof *parser);
    parser->client = *client;
    parser->slot_count = client->ulMaxNumDecodeSurfaces ? (int)client->ulMaxNumDecodeSurfaces : 1;
    if (parser->slot_count > SURFACES) parser->slot_count = SURFACES;
    if (!open_codec(parser) || !take_header(parser)) {
        cuvidDestroyVideoParser(parser);
        return (CUresult)CUDA_OUT_OF_MEMORY;
    }
    *handle = parser;
    return CUDA_SUCCESS;
}

// H.264 A.3.1 h: the pictures a decoder must hold at this level, which bounds how far display may lag.
static int h264_held_pictures(int level, int width, int height) {
    static const struct {
        int level, macroblocks;
    } limits[] = {{10, 396}, {11, 900}, {12, 2376}, {13, 2376}, {20, 2376}, {21, 4752}, {22, 8100}, {30, 8100}, {31, 18000}, {32, 20480},
                  {40, 32768}, {41, 32768}, {42, 34816}, {50, 110400}, {51, 184320}, {52, 184320}};
    int macroblocks = ((width + 15) / 16) * ((height + 15) / 16);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (limits[i].level < level || !macroblocks) continue;
        int held = limits[i].macroblocks / macroblocks;
        return held < 1 ? 1 : held > 16 ? 16 : held;
    }
    return 16;
}

static int min_surfaces(const struct parser *parser) {
    switch (parser->client.CodecType) {
    case cudaVideoCodec_H264: return 4 + h264_held_pictures(parser->codec->level, parser->codec->coded_width, parser->codec->coded_height);
    case cudaVideoCodec_HEVC:
    case cudaVideoCodec_VP9:
    case cudaVideoCodec_AV1: return 10;
    default: return 6;
    }
}

static void display_ratio(const AVCodecContext *codec, CUVIDEOFORMAT *format) {
    AVRational sample = codec->sample_aspect_ratio.num ? codec->sample_aspect_ratio : (AVRational){1, 1};
    av_reduce(&format->display_aspect_ratio.x, &format->display_aspect_ratio.y, (int64_t)codec->width * sample.num,
        (int64_t)codec->height * sample.den, 1 << 16);
}

static CUVIDEOFORMAT describe(const struct parser *parser) {
    const AVCodecContext *codec = parser->codec;
    const AVPixFmtDescriptor *pixels = av_pix_fmt_desc_get(codec->pix_fmt);
    CUVIDEOFORMAT format = {.codec = parser->client.CodecType, .chroma_format = cudaVideoChromaFormat_420};
    int depth = pixels ? pixels->comp[0].depth : 8;
    format.frame_rate.numerator = (unsigned)codec->framerate.num;
    format.frame_rate.denominator = (unsigned)codec->framerate.den;
    format.progressive_sequence = codec->field_order == AV_FIELD_PROGRESSIVE || codec->field_order == AV_FIELD_UNKNOWN;
    format.bit_depth_luma_minus8 = format.bit_depth_chroma_minus8 = (unsigned char)(depth - 8);
    format.min_num_decode_surfaces = (unsigned char)min_surfaces(parser);
    format.coded_width = (unsigned)(codec->coded_width ? codec->coded_width : codec->width);
    format.coded_height = (unsigned)(codec->coded_height ? codec->coded_height : codec->height);
    format.display_area.right = codec->width;
    format.display_area.bottom = codec->height;
    if (pixels && (pixels->log2_chroma_w != 1 || pixels->log2_chroma_h != 1))
        format.chroma_format = pixels->log2_chroma_w ? cudaVideoChromaFormat_422 : cudaVideoChromaFormat_444;
    display_ratio(codec, &format);
    format.video_signal_description.video_format = 5;
    format.video_signal_description.video_full_range_flag = codec->color_range == AVCOL_RANGE_JPEG;
    format.video_signal_description.color_primaries = (unsigned char)codec->color_primaries;
    format.video_signal_description.transfer_characteristics = (unsigned char)codec->color_trc;
    format.video_signal_description.matrix_coefficients = (unsigned char)codec->colorspace;
    return format;
}

static int same_format(const CUVIDEOFORMAT *a, const CUVIDEOFORMAT *b) {
    int same_size = a->coded_width == b->coded_width && a->coded_height == b->coded_height;
    int same_area = !memcmp(&a->display_area, &b->display_area, sizeof a->display_area);
    int same_samples = a->bit_depth_luma_minus8 == b->bit_depth_luma_minus8 && a->chroma_format == b->chroma_format;
    return same_size && same_area && same_samples && a->progressive_sequence == b->progressive_sequence;
}

static int show_first(struct parser *parser) {
    struct shown shown = parser->queue[0];
    struct slot *slot = &parser->slots[shown.slot];
    CUVIDPARSERDISPINFO info = {.picture_index = shown.slot, .progressive_frame = !shown.frame->interlaced_frame,
                                .top_field_first = shown.frame->top_field_first || !shown.frame->interlaced_frame,
                                .repeat_first_field = shown.frame->repeat_pict, .timestamp = slot->timestamp};
    memmove(&parser->queue[0], &parser->queue[1], (size_t)--parser->queued * sizeof parser->queue[0]);
    av_frame_free(&shown.frame);
    int accepted = !parser->client.pfnDisplayPicture || parser->client.pfnDisplayPicture(parser->client.pUserData, &info);
    slot->busy = 0;
    return accepted;
}

static int show_all_but(struct parser *parser, int kept) {
    int accepted = 1;
    while (parser->queued > kept) accepted &= show_first(parser);
    return accepted;
}

// A picture that libavcodec never gave back (it was broken, or the second field of another) must not hold its slot for ever.
static void free_lost_slots(struct parser *parser, int64_t shown) {
    for (int i = 0; i < parser->slot_count; i++)
        if (parser->slots[i].busy && parser->slots[i].picture < shown - 17) parser->slots[i].busy = 0;
}

static void collect(struct parser *parser) {
    while (avcodec_receive_frame(parser->codec, parser->frame) >= 0) {
        for (int i = 0; i < parser->slot_count && parser->queued < SURFACES; i++) {
            if (!parser->slots[i].busy || parser->slots[i].picture != parser->frame->pts) continue;
            decoder_store(parser->slots[i].decoder, i, parser->frame);
            parser->queue[parser->queued++] = (struct shown){i, av_frame_clone(parser->frame)};
            break;
        }
        free_lost_slots(parser, parser->frame->pts);
        av_frame_unref(parser->frame);
    }
}

// Ends what libavcodec holds: every picture is shown, every slot is free.
static int flush(struct parser *parser) {
    avcodec_send_packet(parser->codec, NULL);
    collect(parser);
    avcodec_flush_buffers(parser->codec);
    int accepted = show_all_but(parser, 0);
    for (int i = 0; i < SURFACES; i++) parser->slots[i].busy = 0;
    return accepted;
}

static int announce_format(struct parser *parser) {
    CUVIDEOFORMAT format = describe(parser);
    if (!format.coded_width || (parser->has_format && same_format(&format, &parser->format))) return 1;
    parser->format = format;
    parser->has_format = 1;
    if (!parser->client.pfnSequenceCallback) return 1;
    int surfaces = parser->client.pfnSequenceCallback(parser->client.pUserData, &format);
    if (surfaces > 1) parser->slot_count = surfaces > SURFACES ? SURFACES : surfaces;
    return surfaces > 0;
}

static int take_slot(struct parser *parser) {
    for (int i = 0; i < parser->slot_count; i++) {
        int slot = (parser->next_slot + i) % parser->slot_count;
        if (parser->slots[slot].busy) continue;
        parser->next_slot = (slot + 1) % parser->slot_count;
        return slot;
    }
    double_violation("the client gave the parser %d surfaces, too few for this stream", parser->slot_count);
    return -1;
}

static int hand_out(struct parser *parser, int slot, const uint8_t *data, int length, int intra) {
    unsigned slice = 0;
    CUVIDPICPARAMS picture = {.CurrPicIdx = slot, .nBitstreamDataLen = (unsigned)length, .pBitstreamData = data, .nNumSlices = 1,
                              .pSliceDataOffsets = &slice, .ref_pic_flag = 1, .intra_pic_flag = intra};
    struct handover handover = {.data = data};
    picture.PicWidthInMbs = (int)(parser->format.coded_width + 15) / 16;
    picture.FrameHeightInMbs = (int)(parser->format.coded_height + 15) / 16;
    handing_over = &handover;
    int accepted = parser->client.pfnDecodePicture(parser->client.pUserData, &picture);
    handing_over = NULL;
    parser->slots[slot].decoder = handover.decoder;
    return accepted;
}

static int send(struct parser *parser, const uint8_t *data, int length) {
    if (av_new_packet(parser->packet, length) < 0) return 0;
    memcpy(parser->packet->data, data, (size_t)length);
    parser->packet->pts = parser->packet->dts = parser->next_picture++;
    avcodec_send_packet(parser->codec, parser->packet);
    av_packet_unref(parser->packet);
    return 1;
}

// A new size ends the pictures of the old one before libavcodec sees it, since it would drop those it still holds.
static int end_old_size(struct parser *parser) {
    const AVCodecParserContext *cut = parser->cutter;
    int changed = parser->has_format && cut->width && (cut->width != parser->cut_width || cut->height != parser->cut_height ||
        cut->format != parser->cut_format);
    if (cut->width) {
        parser->cut_width = cut->width;
        parser->cut_height = cut->height;
        parser->cut_format = cut->format;
    }
    return !changed || flush(parser);
}

static CUvideotimestamp timestamp_of(struct parser *parser, int64_t cut_pts) {
    if (cut_pts == AV_NOPTS_VALUE) {
        int64_t clock = parser->client.ulClockRate ? parser->client.ulClockRate : DEFAULT_CLOCK;
        AVRational rate = parser->codec->framerate.num ? parser->codec->framerate : (AVRational){30, 1};
        cut_pts = parser->has_timestamp ? parser->last_timestamp + av_rescale(clock, rate.den, rate.num) : 0;
    }
    parser->last_timestamp = cut_pts;
    parser->has_timestamp = 1;
    return cut_pts;
}

// One picture. libavcodec gets it first: only its decoder knows the whole format that the sequence callback tells.
static CUresult take_picture(struct parser *parser, const uint8_t *data, int length, int64_t pts) {
    int64_t picture = parser->next_picture;
    if (!end_old_size(parser) || !send(parser, data, length)) return CUDA_ERROR_UNKNOWN;
    if (!announce_format(parser)) return CUDA_ERROR_UNKNOWN;
    if (!parser->has_format) return CUDA_SUCCESS; // nothing can be decoded before the first parameter sets
    int slot = take_slot(parser);
    if (slot < 0) return (CUresult)CUDA_OUT_OF_MEMORY;
    parser->slots[slot] = (struct slot){1, picture, timestamp_of(parser, pts), NULL};
    int accepted = hand_out(parser, slot, data, length, parser->cutter->key_frame == 1);
    collect(parser);
    accepted &= show_all_but(parser, (int)parser->client.ulMaxDisplayDelay);
    return accepted ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static CUresult cut(struct parser *parser, const uint8_t *data, int length, int64_t pts) {
    CUresult status = CUDA_SUCCESS;
    const int64_t given = pts;
    do {
        uint8_t *picture;
        int size;
        int used = av_parser_parse2(parser->cutter, parser->codec, &picture, &size, data, length, pts, AV_NOPTS_VALUE, 0);
        if (length) data += used;
        length -= used;
        pts = AV_NOPTS_VALUE;
        // After a picture that was ended by flag, libavcodec's HEVC parser cuts off the first zero of the next start code by itself.
        int is_zero = size == 1 && !*picture;
        // Its AV1 parser hands on what it gets, and loses the time.
        int64_t own = parser->client.CodecType == cudaVideoCodec_AV1 && parser->cutter->pts == AV_NOPTS_VALUE ? given : parser->cutter->pts;
        if (size && !is_zero) status = take_picture(parser, picture, size, own);
    } while (length > 0 && !status);
    return status;
}

// Sequence headers that came outside of the stream (a container's) go before its first byte.
static int take_header(struct parser *parser) {
    CUVIDEOFORMATEX *extra = parser->client.pExtVideoInfo;
    unsigned length = extra ? extra->format.seqhdr_data_length : 0;
    if (!length || length > sizeof extra->raw_seqhdr_data) return 1;
    if (parser->client.CodecType != cudaVideoCodec_H264 && parser->client.CodecType != cudaVideoCodec_HEVC) return 1;
    if (length < 4 || extra->raw_seqhdr_data[0] != 0) return 1; // not a byte stream: ffmpeg also gives avcC here
    parser->codec->extradata = av_mallocz(length + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!parser->codec->extradata) return 0;
    memcpy(parser->codec->extradata, extra->raw_seqhdr_data, length);
    parser->codec->extradata_size = (int)length;
    AVCodecContext *fresh = avcodec_alloc_context3(parser->codec->codec);
    if (!fresh) return 0;
    fresh->thread_count = 1;
    fresh->pkt_timebase = parser->codec->pkt_timebase;
    fresh->extradata = parser->codec->extradata;
    fresh->extradata_size = parser->codec->extradata_size;
    parser->codec->extradata = NULL;
    avcodec_free_context(&parser->codec);
    parser->codec = fresh;
    return avcodec_open2(fresh, fresh->codec, NULL) >= 0;
}

static CUresult end_of_stream(struct parser *parser, int notify) {
    int accepted = flush(parser);
    if (notify && parser->client.pfnDisplayPicture) accepted &= parser->client.pfnDisplayPicture(parser->client.pUserData, NULL) > 0;
    return accepted ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

DOUBLE_EXPORT CUresult cuvidParseVideoData(CUvideoparser handle, CUVIDSOURCEDATAPACKET *packet) {
    struct parser *parser = handle;
    if (!parser || !packet || (packet->payload_size && !packet->payload)) return (CUresult)CUDA_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    int64_t pts = packet->flags & CUVID_PKT_TIMESTAMP ? packet->timestamp : AV_NOPTS_VALUE;
    if (packet->flags & CUVID_PKT_DISCONTINUITY) flush(parser);
    if (packet->payload_size) status = cut(parser, packet->payload, (int)packet->payload_size, pts);
    // libavcodec's AV1 parser gives a temporal unit out at once; ended by flag as well, it would lose the next one's time.
    int ends = packet->flags & CUVID_PKT_ENDOFSTREAM || (packet->flags & CUVID_PKT_ENDOFPICTURE && parser->client.CodecType != cudaVideoCodec_AV1);
    if (!status && ends) status = cut(parser, NULL, 0, AV_NOPTS_VALUE);
    if (!status && packet->flags & CUVID_PKT_ENDOFSTREAM) status = end_of_stream(parser, !!(packet->flags & CUVID_PKT_NOTIFY_EOS));
    return status;
}

#define NOT_SERVED(name)                                                                                                       \
    DOUBLE_EXPORT CUresult name(void) { return (CUresult)CUDA_NOT_SUPPORTED; }
NOT_SERVED(cuvidCreateVideoSource)
NOT_SERVED(cuvidCreateVideoSourceW)
NOT_SERVED(cuvidDestroyVideoSource)
NOT_SERVED(cuvidSetVideoSourceState)
NOT_SERVED(cuvidGetVideoSourceState)
NOT_SERVED(cuvidGetSourceVideoFormat)
NOT_SERVED(cuvidGetSourceAudioFormat)

PROTOTYPE(cuvidCreateVideoParser);
PROTOTYPE(cuvidParseVideoData);
PROTOTYPE(cuvidDestroyVideoParser);
