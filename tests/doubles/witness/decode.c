// decode FILE: plays an H.264 byte stream through the parser and a decoder that is reconfigured where the size changes. Prints the
// sequences and, for every picture, its size and the hash of its NV12 samples.
#include "witness.h"

#include <ffnvcodec/dynlink_cuviddec.h>
#include <ffnvcodec/dynlink_nvcuvid.h>
#include <string.h>

extern tcuvidCreateVideoParser cuvidCreateVideoParser;
extern tcuvidParseVideoData cuvidParseVideoData;
extern tcuvidDestroyVideoParser cuvidDestroyVideoParser;
extern tcuvidCreateDecoder cuvidCreateDecoder;
extern tcuvidDestroyDecoder cuvidDestroyDecoder;
extern tcuvidReconfigureDecoder cuvidReconfigureDecoder;
extern tcuvidDecodePicture cuvidDecodePicture;
CUresult cuvidMapVideoFrame64(CUvideodecoder, int, unsigned long long *, unsigned *, CUVIDPROCPARAMS *);
CUresult cuvidUnmapVideoFrame64(CUvideodecoder, unsigned long long);

struct player {
    CUvideodecoder decoder;
    unsigned width, height;
    unsigned long long first_address;
    int addresses, second_map;
    CUresult past_unmap;
};

static void configure(struct player *player, const CUVIDEOFORMAT *format) {
    CUVIDDECODECREATEINFO create = {.ulWidth = format->coded_width, .ulHeight = format->coded_height,
        .ulNumDecodeSurfaces = format->min_num_decode_surfaces,
                                    .CodecType = format->codec, .ChromaFormat = format->chroma_format, .ulMaxWidth = 1920,
                                        .ulMaxHeight = 1088,
                                    .ulTargetWidth = player->width, .ulTargetHeight = player->height, .ulNumOutputSurfaces = 1};
    CUVIDRECONFIGUREDECODERINFO change = {.ulWidth = format->coded_width, .ulHeight = format->coded_height, .ulTargetWidth = player->width,
                                          .ulTargetHeight = player->height, .ulNumDecodeSurfaces = format->min_num_decode_surfaces};
    if (player->decoder)
        MUST(cuvidReconfigureDecoder(player->decoder, &change));
    else
        MUST(cuvidCreateDecoder(&player->decoder, &create));
}

static int on_sequence(void *user, CUVIDEOFORMAT *format) {
    struct player *player = user;
    player->width = (unsigned)(format->display_area.right - format->display_area.left);
    player->height = (unsigned)(format->display_area.bottom - format->display_area.top);
    printf("sequence %ux%u coded %ux%u\n", player->width, player->height, format->coded_width, format->coded_height);
    configure(player, format);
    return format->min_num_decode_surfaces;
}

static int on_decode(void *user, CUVIDPICPARAMS *picture) {
    return cuvidDecodePicture(((struct player *)user)->decoder, picture) == 0;
}

static uint64_t hash(uint64_t sum, const unsigned char *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) sum = (sum ^ bytes[i]) * 0x100000001b3ULL;
    return sum;
}

static int on_display(void *user, CUVIDPARSERDISPINFO *shown) {
    struct player *player = user;
    CUVIDPROCPARAMS process = {.progressive_frame = 1};
    unsigned long long address, other;
    unsigned pitch;
    uint64_t sum = 0xcbf29ce484222325ULL;
    if (!shown) return 1;
    MUST(cuvidMapVideoFrame64(player->decoder, shown->picture_index, &address, &pitch, &process));
    player->second_map = (int)cuvidMapVideoFrame64(player->decoder, shown->picture_index, &other, &pitch, &process);
    if (!player->first_address) player->first_address = address;
    player->addresses += address != player->first_address;
    size_t rows = player->height * 3 / 2, bytes = rows * pitch;
    unsigned char *host = malloc(bytes);
    MUST(cuMemcpyDtoH_v2(host, address, bytes));
    for (size_t y = 0; y < rows; y++) sum = hash(sum, host + y * pitch, player->width);
    free(host);
    MUST(cuvidUnmapVideoFrame64(player->decoder, address));
    printf("picture %lld %ux%u %016llx\n", (long long)shown->timestamp, player->width, player->height, (unsigned long long)sum);
    return 1;
}

int tell_decode(char **arguments) {
    struct player player = {0};
    CUVIDPARSERPARAMS parameters = {.CodecType = cudaVideoCodec_H264, .ulMaxNumDecodeSurfaces = 1, .pUserData = &player,
                                    .pfnSequenceCallback = on_sequence, .pfnDecodePicture = on_decode, .pfnDisplayPicture = on_display};
    CUvideoparser parser;
    unsigned char chunk[4096];
    size_t length;
    FILE *file = fopen(arguments[0], "rb");
    if (!file) return 66;
    make_context();
    MUST(cuvidCreateVideoParser(&parser, &parameters));
    while ((length = fread(chunk, 1, sizeof chunk, file)) > 0) {
        CUVIDSOURCEDATAPACKET packet = {.payload = chunk, .payload_size = length};
        MUST(cuvidParseVideoData(parser, &packet));
    }
    CUVIDSOURCEDATAPACKET end = {.flags = CUVID_PKT_ENDOFSTREAM | CUVID_PKT_NOTIFY_EOS};
    MUST(cuvidParseVideoData(parser, &end));
    printf("second map %d other addresses %d\n", player.second_map, player.addresses > 0);
    MUST(cuvidDestroyVideoParser(parser));
    MUST(cuvidDestroyDecoder(player.decoder));
    fclose(file);
    return 0;
}
