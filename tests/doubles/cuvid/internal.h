// What the files of libnvcuvid's double share.
#pragma once
#include "../cuda/driver.h"

#include <ffnvcodec/dynlink_cuviddec.h>
#include <ffnvcodec/dynlink_nvcuvid.h>
#include <libavcodec/avcodec.h>

#define SURFACES 64

// The codec that libavcodec decodes it with; AV_CODEC_ID_NONE where the double has none.
enum AVCodecID codec_of(cudaVideoCodec codec);

// The picture that the parser is handing out on this thread; cuvidDecodePicture ties it to a decoder.
struct handover {
    void *decoder; // out: the decoder that took it
    const unsigned char *data;
};
extern __thread struct handover *handing_over;

// Gives a decoded picture to the decoder that took its surface; ignored when that decoder is gone.
void decoder_store(void *decoder, int surface, const AVFrame *frame);

// Writes `frame`, cropped and scaled as `info` says, as NV12 or P016 to `target`.
int post_process(const AVFrame *frame, const CUVIDDECODECREATEINFO *info, uint8_t *target, size_t pitch);
size_t surface_pitch(const CUVIDDECODECREATEINFO *info);
size_t surface_bytes(const CUVIDDECODECREATEINFO *info);
