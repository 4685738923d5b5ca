// Copies an input into three planes for the encoder libraries that want them so.
#include "planar.h"

#include <stdlib.h>
#include <string.h>

int planar_open(struct planar *planar, const struct settings *settings) {
    size_t sample = settings->ten_bit ? 2 : 1, luma = (size_t)settings->width * settings->height * sample;
    *planar = (struct planar){.width = settings->width, .height = settings->height, .ten_bit = settings->ten_bit};
    planar->strides[0] = settings->width * sample;
    planar->strides[1] = planar->strides[2] = settings->width / 2 * sample;
    planar->planes[0] = malloc(luma + luma / 2);
    if (!planar->planes[0]) return 0;
    planar->planes[1] = planar->planes[0] + luma;
    planar->planes[2] = planar->planes[1] + luma / 4;
    return 1;
}

void planar_close(struct planar *planar) {
    free(planar->planes[0]);
}

// P010 keeps its ten bits at the top.
static void copy_row(uint8_t *target, const uint8_t *source, size_t step, size_t count, int ten_bit) {
    if (!ten_bit && step == 1) {
        memcpy(target, source, count);
        return;
    }
    for (size_t x = 0; x < count; x++) {
        if (ten_bit) {
            uint16_t value;
            memcpy(&value, source + x * step * 2, 2);
            value >>= 6;
            memcpy(target + x * 2, &value, 2);
        } else {
            target[x] = source[x * step];
        }
    }
}

void planar_fill(struct planar *planar, const struct samples *samples) {
    size_t sample = planar->ten_bit ? 2 : 1;
    for (int plane = 0; plane < 3; plane++) {
        int interleaved = plane && samples->semi_planar;
        const uint8_t *source = interleaved ? samples->planes[1] + (plane == 2 ? sample : 0) : samples->planes[plane];
        size_t stride = (size_t)samples->strides[interleaved ? 1 : plane], shift = plane ? 1 : 0;
        for (uint32_t y = 0; y < planar->height >> shift; y++)
            copy_row(planar->planes[plane] + y * planar->strides[plane], source + y * stride, interleaved ? 2 : 1,
                planar->width >> shift, planar->ten_bit);
    }
}
