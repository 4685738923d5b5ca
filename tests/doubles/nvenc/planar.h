// Semi-planar and planar samples of any input layout, as three planes.
#pragma once
#include "session.h"

struct planar {
    uint8_t *planes[3];
    size_t strides[3]; // bytes
    uint32_t width, height;
    int ten_bit; // two bytes per sample, the value in the low bits
};

int planar_open(struct planar *planar, const struct settings *settings);
void planar_fill(struct planar *planar, const struct samples *samples);
void planar_close(struct planar *planar);
