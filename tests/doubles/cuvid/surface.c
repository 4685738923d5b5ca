// Post-processing of a decoded picture: crop, scale, NV12 or P016. A picture of the target's own size is copied sample for sample.
#include "internal.h"

#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <string.h>

static int bytes_per_sample(const CUVIDDECODECREATEINFO *info) {
    return info->OutputFormat == cudaVideoSurfaceFormat_P016 ? 2 : 1;
}

size_t surface_pitch(const CUVIDDECODECREATEINFO *info) {
    return (info->ulTargetWidth * (size_t)bytes_per_sample(info) + 511) & ~(size_t)511;
}

// Chroma begins below an even number of luma rows.
static size_t luma_rows(const CUVIDDECODECREATEINFO *info) {
    return (info->ulTargetHeight + 1) & ~1UL;
}

size_t surface_bytes(const CUVIDDECODECREATEINFO *info) {
    return surface_pitch(info) * luma_rows(info) * 3 / 2;
}

// The J formats differ by their range only, which must pass unchanged.
static enum AVPixelFormat without_range(enum AVPixelFormat format) {
    return format == AV_PIX_FMT_YUVJ420P ? AV_PIX_FMT_YUV420P : format;
}

struct area {
    int left, top, width, height;
};

static struct area source_area(const AVFrame *frame, const CUVIDDECODECREATEINFO *info) {
    struct area area = {info->display_area.left, info->display_area.top, info->display_area.right - info->display_area.left,
                        info->display_area.bottom - info->display_area.top};
    // libavcodec has already cut off what the stream says is not displayed.
    if (area.width <= 0 || area.height <= 0 || area.left + area.width > frame->width || area.top + area.height > frame->height)
        area = (struct area){0, 0, frame->width, frame->height};
    return area;
}

static struct area target_area(const CUVIDDECODECREATEINFO *info) {
    struct area area = {info->target_rect.left, info->target_rect.top, info->target_rect.right - info->target_rect.left,
                        info->target_rect.bottom - info->target_rect.top};
    if (area.width <= 0 || area.height <= 0) area = (struct area){0, 0, (int)info->ulTargetWidth, (int)info->ulTargetHeight};
    return area;
}

// ffmpeg asks for the coded size rounded up: such a target shows the source unscaled.
static void keep_size_of_near_equals(struct area *from, struct area *to) {
    if (to->width - from->width >= 0 && to->width - from->width < 2) to->width = from->width;
    if (to->height - from->height >= 0 && to->height - from->height < 2) to->height = from->height;
}

int post_process(const AVFrame *frame, const CUVIDDECODECREATEINFO *info, uint8_t *target, size_t pitch) {
    struct area from = source_area(frame, info), to = target_area(info);
    int sample = bytes_per_sample(info), source_sample = av_pix_fmt_desc_get(frame->format)->comp[0].depth > 8 ? 2 : 1;
    enum AVPixelFormat output = sample == 2 ? AV_PIX_FMT_P016LE : AV_PIX_FMT_NV12;
    // libswscale moves 10-bit samples to P010 bit for bit; P016 is the same memory.
    if (sample == 2 && source_sample == 2) output = AV_PIX_FMT_P010LE;
    keep_size_of_near_equals(&from, &to);
    struct SwsContext *scaler = sws_getContext(from.width, from.height, without_range(frame->format), to.width, to.height, output,
        SWS_BILINEAR, NULL, NULL, NULL);
    if (!scaler) return 0;
    const uint8_t *source[4] = {0};
    for (int plane = 0; plane < 3; plane++) {
        int shift = plane ? 1 : 0;
        source[plane] = frame->data[plane] + (from.top >> shift) * frame->linesize[plane] + (from.left >> shift) * source_sample;
    }
    uint8_t *luma = target + (size_t)to.top * pitch + (size_t)(to.left * sample);
    uint8_t *chroma = target + luma_rows(info) * pitch + (size_t)(to.top / 2) * pitch + (size_t)(to.left * sample);
    uint8_t *planes[4] = {luma, chroma};
    int strides[4] = {(int)pitch, (int)pitch};
    sws_scale(scaler, source, frame->linesize, 0, from.height, planes, strides);
    sws_freeContext(scaler);
    return 1;
}
