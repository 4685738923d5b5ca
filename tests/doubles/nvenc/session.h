// An encode session, free of NVIDIA's structs: those differ between the header versions and stay in entry.c.
#pragma once
#include "../cuda/driver.h"

#include <pthread.h>

// Statuses, with the API's numbers (the same in every version).
enum {
    ENC_SUCCESS = 0,
    ENC_NO_ENCODE_DEVICE = 1,
    ENC_UNSUPPORTED_DEVICE = 2,
    ENC_INVALID_DEVICE = 4,
    ENC_DEVICE_NOT_EXIST = 5,
    ENC_INVALID_PTR = 6,
    ENC_INVALID_PARAM = 8,
    ENC_INVALID_CALL = 9,
    ENC_OUT_OF_MEMORY = 10,
    ENC_NOT_INITIALIZED = 11,
    ENC_UNSUPPORTED_PARAM = 12,
    ENC_LOCK_BUSY = 13,
    ENC_NOT_ENOUGH_BUFFER = 14,
    ENC_INVALID_VERSION = 15,
    ENC_MAP_FAILED = 16,
    ENC_NEED_MORE_INPUT = 17,
    ENC_ENCODER_BUSY = 18,
    ENC_GENERIC = 20,
    ENC_INCOMPATIBLE_CLIENT_KEY = 21,
    ENC_UNIMPLEMENTED = 22,
    ENC_REGISTER_FAILED = 23,
    ENC_NOT_REGISTERED = 24,
    ENC_NOT_MAPPED = 25,
};

enum codec { CODEC_H264, CODEC_HEVC, CODEC_AV1 };
enum layout { LAYOUT_NV12, LAYOUT_YV12, LAYOUT_IYUV, LAYOUT_P010 };
enum rate_mode { RATE_CONSTANT_QP, RATE_VARIABLE, RATE_CONSTANT };
enum entropy { ENTROPY_AUTO, ENTROPY_CABAC, ENTROPY_CAVLC };
// As NV_ENC_PIC_TYPE.
enum picture_type { PICTURE_P = 0, PICTURE_B = 1, PICTURE_I = 2, PICTURE_IDR = 3 };

struct settings {
    enum codec codec;
    uint32_t width, height, max_width, max_height, rate_numerator, rate_denominator;
    uint32_t gop_length; // UINT32_MAX: endless
    uint32_t b_frames, look_ahead, level;
    int ten_bit, repeat_headers, no_headers, delimiters, profile; // profile: 0 by itself, 1 baseline, 2 main, 3 high
    enum entropy entropy;
    enum rate_mode mode;
    uint32_t qp, bitrate, max_bitrate, vbv_bits, vbv_initial_bits; // bits and bits per second
    int has_colour, full_range, primaries, transfer, matrix;
};

struct sei {
    uint32_t type, size;
    uint8_t *payload;
};
#define SEI_LIMIT 16

// Samples in host memory, as an encoder library takes them.
struct samples {
    uint8_t *planes[3]; // Y and interleaved UV where `semi_planar`, else Y, U, V
    int strides[3];
    int semi_planar;
    enum layout layout;
};

// What a codec library turns a picture into.
struct coded {
    uint8_t *data;
    size_t length;
    uint64_t number; // which picture it is, counted from 0 as submitted
    enum picture_type type;
    int qp;
};

struct encoder;
struct encoder_kind {
    // NULL, and a reason, when the library refuses the settings.
    struct encoder *(*open)(const struct settings *settings, const char **refusal);
    // Pictures that the library holds back before the first comes out.
    uint32_t (*delay)(struct encoder *encoder);
    // Encodes `samples` (NULL: flush); 1 and `coded` (valid until the next call), 0 for none now, -1 on failure.
    int (*encode)(struct encoder *encoder, const struct samples *samples, uint64_t number, int force_idr, const struct sei *sei,
        size_t sei_count,
                  struct coded *coded);
    int (*reconfigure)(struct encoder *encoder, const struct settings *settings);
    // Parameter sets; the length, or 0.
    size_t (*headers)(struct encoder *encoder, uint8_t *data, size_t size);
    void (*close)(struct encoder *encoder);
};
extern const struct encoder_kind x264_kind, x265_kind, aom_kind;

#define QUEUE 128
#define ERROR_TEXT 160

struct input { // a registered resource, or a buffer that the session owns
    int alive, owned, mapped, busy;
    enum layout layout;
    uint32_t width, height, pitch;
    CUdeviceptr address;
    uint8_t *memory;
    struct session *session;
};

struct bitstream {
    int alive, ready, locked, failed, awaited;
    uint64_t order; // which output of the session it is
    struct session *session;
    uint8_t *data;
    size_t length, capacity;
    uint64_t timestamp, duration;
    uint32_t frame;
    enum picture_type type;
    int qp;
    struct job *submission; // what was submitted with this buffer; its input is given back when this is locked
};

enum job_state { JOB_SUBMITTED, JOB_ARRIVED };
struct job {
    struct session *session;
    struct input *input;
    struct bitstream *output;
    uint64_t number, timestamp, duration, checksum;
    int force_idr, end_of_stream, has_checksum, references;
    enum job_state state;
    struct sei sei[SEI_LIMIT];
    size_t sei_count;
    struct job *next;
};

struct session {
    int alive, device, limit_slot;
    CUcontext context;
    struct settings settings;
    const struct encoder_kind *kind;
    struct encoder *encoder;
    int has_input_stream;
    CUstream input_stream, output_stream;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    int has_thread, closing, working;
    struct job *queue[QUEUE]; // submitted, not yet encoded
    size_t queued;
    struct job *held[QUEUE]; // encoded or being encoded, picture not out yet
    size_t held_count;
    struct bitstream *waiting[QUEUE]; // outputs in the order submitted, to be filled in the order coded
    size_t waiting_count;
    uint64_t submitted;
    uint64_t taken, filled, flushed; // pictures that came, outputs that were filled, and those of them that an end of stream let out
    uint32_t delay; // how many pictures must follow before an output may be locked
    char error[ERROR_TEXT];
};

int session_fail(struct session *session, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
// 0, or why calls on this session fail.
int session_check(struct session *session);

int session_open(CUcontext context, struct session **session);
int session_initialise(struct session *session, const struct settings *settings);
int session_reconfigure(struct session *session, const struct settings *settings, int reset, int force_idr);
int session_encode(struct session *session, struct input *input, struct bitstream *output, const struct job *request);
int session_end_of_stream(struct session *session);
int session_close(struct session *session);
// Waits until the session's thread has nothing to do. The session's lock is held.
void session_settle(struct session *session);

// worker.c: the thread that encodes
int worker_start(struct session *session);
void worker_stop(struct session *session);
void job_arrive(void *job, CUresult status);
// Drops one of the references to a job; the session's lock is held.
void job_release(struct job *job);
// The input of what was submitted with this buffer is the client's again; it must still be as it was.
void give_back_input(struct bitstream *bitstream);

// buffers.c
struct input *input_register(struct session *session, CUdeviceptr address, enum layout layout, uint32_t width, uint32_t height,
    uint32_t pitch, int *status);
struct input *input_create(struct session *session, enum layout layout, uint32_t width, uint32_t height);
int input_destroy(struct session *session, struct input *input);
int input_map(struct session *session, struct input *input);
int input_unmap(struct session *session, struct input *input);
struct input *input_of(void *handle);
uint8_t *input_data(const struct input *input);
size_t input_bytes(const struct input *input);
struct bitstream *bitstream_create(struct session *session);
struct bitstream *bitstream_of(void *handle);
int bitstream_destroy(struct session *session, struct bitstream *bitstream);
// Frees what a client left when it closed the session.
void buffers_close(struct session *session);
int bitstream_lock(struct session *session, struct bitstream *bitstream, int wait);
int bitstream_unlock(struct session *session, struct bitstream *bitstream);

// limit.c: how many sessions the system allows
int limit_take(int device, int *slot);
void limit_give_back(int slot);
