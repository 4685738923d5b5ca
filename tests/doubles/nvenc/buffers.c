// Inputs and outputs. A handle is checked against its pool, so that a wild pointer is an error and not a crash.
#include "session.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INPUTS 4096
#define BITSTREAMS 4096

static struct input inputs[INPUTS];
static struct bitstream bitstreams[BITSTREAMS];
static size_t next_input, next_bitstream;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct input *input_of(void *handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)inputs;
    struct input *input = handle;
    return offset < sizeof inputs && offset % sizeof inputs[0] == 0 && input->alive ? input : NULL;
}

struct bitstream *bitstream_of(void *handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)bitstreams;
    struct bitstream *bitstream = handle;
    return offset < sizeof bitstreams && offset % sizeof bitstreams[0] == 0 && bitstream->alive ? bitstream : NULL;
}

static struct input *take_input(struct input value) {
    struct input *input = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < INPUTS && !input; i++, next_input = (next_input + 1) % INPUTS)
        if (!inputs[next_input].alive) input = &inputs[next_input];
    if (input) *input = value;
    pthread_mutex_unlock(&lock);
    return input;
}

static size_t samples_bytes(uint32_t pitch, uint32_t height) {
    return (size_t)pitch * height + (size_t)pitch * ((height + 1) / 2);
}

size_t input_bytes(const struct input *input) {
    return samples_bytes(input->pitch, input->height);
}

uint8_t *input_data(const struct input *input) {
    return input->owned ? input->memory : double_alias(input->address);
}

struct input *input_register(struct session *session, CUdeviceptr address, enum layout layout, uint32_t width, uint32_t height,
    uint32_t pitch, int *status) {
    uint32_t row = layout == LAYOUT_P010 ? width * 2 : width;
    *status = ENC_REGISTER_FAILED;
    if (double_fault("nvenc.register", session->device, 1)) {
        session_fail(session, 0, "registration refused by a fault");
        return NULL;
    }
    if (!width || !height || pitch < row || pitch % 4) {
        session_fail(session, 0, "pitch %u is no pitch for a width of %u", pitch, width);
        return NULL;
    }
    if (double_device_range(address, samples_bytes(pitch, height))) {
        session_fail(session, 0, "0x%llx is not device memory of %zu bytes", address, samples_bytes(pitch, height));
        return NULL;
    }
    if (double_device_pooled(address)) {
        session_fail(session, 0, "memory of the stream-ordered allocator cannot be registered");
        return NULL;
    }
    struct input *input = take_input((struct input){.alive = 1, .layout = layout, .width = width, .height = height, .pitch = pitch,
        .address = address, .session = session});
    *status = input ? ENC_SUCCESS : ENC_OUT_OF_MEMORY;
    if (!input) return NULL;
    double_count(COUNT_registrations, 1);
    double_level(LEVEL_registered, 1);
    return input;
}

struct input *input_create(struct session *session, enum layout layout, uint32_t width, uint32_t height) {
    uint32_t row = layout == LAYOUT_P010 ? width * 2 : width;
    struct input value = {.alive = 1, .owned = 1, .layout = layout, .width = width, .height = height, .pitch = (row + 127) & ~127u,
        .session = session};
    value.memory = calloc(1, samples_bytes(value.pitch, height));
    return value.memory ? take_input(value) : NULL;
}

int input_destroy(struct session *session, struct input *input) {
    if (!input || input->session != session) return ENC_NOT_REGISTERED;
    if (input->mapped) return session_fail(session, ENC_INVALID_CALL, "the resource is still mapped");
    if (input->busy) double_violation("an input was given up while the encoder uses it");
    if (!input->owned) double_level(LEVEL_registered, -1);
    free(input->memory);
    *input = (struct input){0};
    return ENC_SUCCESS;
}

int input_map(struct session *session, struct input *input) {
    if (!input || input->session != session || input->owned) return session_fail(session, ENC_NOT_REGISTERED, "not a registered resource");
    if (double_fault_at("nvenc.map_out_of_memory", session->device))
        return session_fail(session, ENC_OUT_OF_MEMORY, "out of memory by a fault");
    if (input->mapped) return session_fail(session, ENC_MAP_FAILED, "the resource is mapped already");
    if (double_device_range(input->address, input_bytes(input)))
        return session_fail(session, ENC_MAP_FAILED, "the registered memory was freed");
    input->mapped = 1;
    double_count(COUNT_maps, 1);
    double_level(LEVEL_mapped, 1);
    return ENC_SUCCESS;
}

int input_unmap(struct session *session, struct input *input) {
    if (!input || input->session != session || !input->mapped) return session_fail(session, ENC_NOT_MAPPED, "the resource is not mapped");
    if (input->busy) double_violation("an input was unmapped while the encoder uses it");
    input->mapped = 0;
    double_level(LEVEL_mapped, -1);
    return ENC_SUCCESS;
}

struct bitstream *bitstream_create(struct session *session) {
    struct bitstream *bitstream = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < BITSTREAMS && !bitstream; i++, next_bitstream = (next_bitstream + 1) % BITSTREAMS)
        if (!bitstreams[next_bitstream].alive) bitstream = &bitstreams[next_bitstream];
    if (bitstream) *bitstream = (struct bitstream){.alive = 1, .session = session};
    pthread_mutex_unlock(&lock);
    return bitstream;
}

static void drop_waiting(struct session *session, const struct bitstream *bitstream) {
    for (size_t i = 0; i < session->waiting_count; i++) {
        if (session->waiting[i] != bitstream) continue;
        session->waiting_count--;
        memmove(&session->waiting[i], &session->waiting[i + 1], (session->waiting_count - i) * sizeof session->waiting[0]);
    }
}

static void discard_bitstream(struct bitstream *bitstream) {
    drop_waiting(bitstream->session, bitstream);
    give_back_input(bitstream);
    free(bitstream->data);
    *bitstream = (struct bitstream){0};
}

// A buffer that is still to be filled may go, too: a client that breaks off does so. What is being encoded ends first.
int bitstream_destroy(struct session *session, struct bitstream *bitstream) {
    if (!bitstream || bitstream->session != session) return ENC_INVALID_PTR;
    pthread_mutex_lock(&session->lock);
    session_settle(session);
    discard_bitstream(bitstream);
    pthread_mutex_unlock(&session->lock);
    return ENC_SUCCESS;
}

void buffers_close(struct session *session) {
    for (size_t i = 0; i < BITSTREAMS; i++)
        if (bitstreams[i].alive && bitstreams[i].session == session) discard_bitstream(&bitstreams[i]);
    for (size_t i = 0; i < INPUTS; i++) {
        if (!inputs[i].alive || inputs[i].session != session) continue;
        if (inputs[i].mapped) double_level(LEVEL_mapped, -1);
        if (!inputs[i].owned) double_level(LEVEL_registered, -1);
        free(inputs[i].memory);
        inputs[i] = (struct input){0};
    }
}

// Filled it may be, but a driver lets go of it only after the pictures that its B pictures and its look-ahead want.
static int is_early(const struct session *session, const struct bitstream *bitstream) {
    return bitstream->ready && !bitstream->failed && bitstream->order >= session->flushed
        && session->taken <= bitstream->order + session->delay;
}

// A stall of the hardware: for the milliseconds of the fault, for ever where they are negative.
static void stall(const struct session *session) {
    long stall_ms = double_fault("nvenc.lock_stall_ms", session->device, 1000);
    struct timespec wait = {stall_ms / 1000, stall_ms % 1000 * 1000000};
    if (stall_ms > 0) nanosleep(&wait, NULL);
    while (stall_ms < 0) pause();
}

int bitstream_lock(struct session *session, struct bitstream *bitstream, int wait) {
    if (!bitstream || bitstream->session != session) return ENC_INVALID_PTR;
    stall(session);
    pthread_mutex_lock(&session->lock);
    int status = ENC_SUCCESS;
    while (!bitstream->ready && wait && (session->queued || session->working)) pthread_cond_wait(&session->changed, &session->lock);
    if (bitstream->locked)
        status = session_fail(session, ENC_INVALID_CALL, "the bitstream is locked already");
    else if ((!bitstream->ready || is_early(session, bitstream)) && !wait)
        status = ENC_LOCK_BUSY;
    else if (!bitstream->ready || is_early(session, bitstream))
        status = session_fail(session, ENC_INVALID_CALL, bitstream->awaited || bitstream->ready
            ? "the encoder needs more input before this comes out" : "nothing was encoded into this buffer");
    else if (bitstream->failed)
        status = session_fail(session, ENC_GENERIC, "the picture could not be encoded");
    else
        bitstream->locked = 1;
    if (!status) give_back_input(bitstream);
    pthread_mutex_unlock(&session->lock);
    int lost = session_check(session);
    return lost ? lost : status;
}

int bitstream_unlock(struct session *session, struct bitstream *bitstream) {
    if (!bitstream || bitstream->session != session) return ENC_INVALID_PTR;
    if (!bitstream->locked) return session_fail(session, ENC_INVALID_CALL, "the bitstream is not locked");
    pthread_mutex_lock(&session->lock);
    bitstream->locked = bitstream->ready = 0;
    pthread_mutex_unlock(&session->lock);
    return ENC_SUCCESS;
}
