// Sessions: their life, what may be asked of them when, and the order of their work.
#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 256

static struct session sessions[SESSIONS];
static size_t next_session;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;

int session_fail(struct session *session, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->error, ERROR_TEXT, format, arguments);
    va_end(arguments);
    return status;
}

int session_check(struct session *session) {
    uintptr_t offset = (uintptr_t)session - (uintptr_t)sessions;
    if (offset >= sizeof sessions || offset % sizeof sessions[0] || !session->alive) return ENC_INVALID_PTR;
    CUresult status = double_context_status(session->context);
    return status ? session_fail(session, ENC_DEVICE_NOT_EXIST, "the device died with CUDA error %d", (int)status) : ENC_SUCCESS;
}

static int open_faults(int device) {
    if (double_fault("nvenc.no_device", device, 1)) return ENC_NO_ENCODE_DEVICE;
    if (double_fault("nvenc.unsupported", device, 1)) return ENC_UNSUPPORTED_DEVICE;
    return (int)double_fault("nvenc.open", device, ENC_GENERIC);
}

int session_open(CUcontext context, struct session **opened) {
    int slot = -1, device;
    if (double_context_status(context)) return ENC_INVALID_DEVICE;
    device = double_context_device(context);
    int status = open_faults(device);
    if (!status) status = limit_take(device, &slot);
    if (status) return status;
    pthread_mutex_lock(&pool_lock);
    struct session *session = NULL;
    for (size_t i = 0; i < SESSIONS && !session; i++, next_session = (next_session + 1) % SESSIONS)
        if (!sessions[next_session].alive) session = &sessions[next_session];
    if (session) {
        *session = (struct session){.alive = 1, .device = device, .limit_slot = slot, .context = context};
        pthread_mutex_init(&session->lock, NULL);
        pthread_cond_init(&session->changed, NULL);
    }
    pthread_mutex_unlock(&pool_lock);
    if (!session) {
        limit_give_back(slot);
        return ENC_OUT_OF_MEMORY;
    }
    double_level(LEVEL_sessions, 1);
    *opened = session;
    return ENC_SUCCESS;
}

static const struct encoder_kind *kind_of(enum codec codec) {
    return codec == CODEC_H264 ? &x264_kind : codec == CODEC_HEVC ? &x265_kind : &aom_kind;
}

static int check_settings(struct session *session, const struct settings *settings) {
    if (settings->width < 145 || settings->height < 49)
        return session_fail(session, ENC_INVALID_PARAM, "%ux%u is smaller than 145x49", settings->width, settings->height);
    uint32_t most = settings->codec == CODEC_H264 ? 4096 : 8192;
    if (settings->width > most || settings->height > most)
        return session_fail(session, ENC_INVALID_PARAM, "%ux%u is larger than %ux%u", settings->width, settings->height, most, most);
    if (settings->width & 1 || settings->height & 1)
        return session_fail(session, ENC_INVALID_PARAM, "%ux%u is odd", settings->width, settings->height);
    if (!settings->rate_numerator || !settings->rate_denominator) return session_fail(session, ENC_INVALID_PARAM, "no frame rate");
    if (settings->codec == CODEC_H264 && settings->ten_bit) return session_fail(session, ENC_UNSUPPORTED_PARAM, "no 10-bit H.264");
    if (settings->codec != CODEC_H264 && settings->b_frames)
        return session_fail(session, ENC_UNSUPPORTED_PARAM, "no B frames with this codec");
    return ENC_SUCCESS;
}

// A driver may hold back one picture more than B pictures and look-ahead, and so does this one where there are any: a client that
// makes do with as many outputs as it asked for pictures locks one that is not there yet.
static uint32_t delay_of(const struct session *session, const struct settings *settings) {
    uint32_t asked = settings->b_frames + settings->look_ahead, own = session->kind->delay(session->encoder);
    uint32_t driver = asked ? asked + 1 : 0;
    return driver > own ? driver : own;
}

int session_initialise(struct session *session, const struct settings *settings) {
    const char *refusal = "refused";
    if (session->encoder) return session_fail(session, ENC_INVALID_CALL, "initialised already");
    int status = check_settings(session, settings);
    long code = double_fault("nvenc.initialise", session->device, ENC_GENERIC);
    if (status || code) return status ? status : session_fail(session, (int)code, "initialisation refused by a fault");
    session->settings = *settings;
    if (!session->settings.max_width) session->settings.max_width = settings->width;
    if (!session->settings.max_height) session->settings.max_height = settings->height;
    session->kind = kind_of(settings->codec);
    session->encoder = session->kind->open(&session->settings, &refusal);
    if (!session->encoder) return session_fail(session, ENC_INVALID_PARAM, "%s", refusal);
    session->delay = delay_of(session, settings);
    return worker_start(session) ? ENC_SUCCESS : ENC_OUT_OF_MEMORY;
}

void session_settle(struct session *session) {
    while (session->queued || session->working) pthread_cond_wait(&session->changed, &session->lock);
}

// A new size needs a new encoder, and nothing may be held by the old one.
static int reopen(struct session *session, const struct settings *settings) {
    const char *refusal = "refused";
    if (session->held_count) return session_fail(session, ENC_INVALID_PARAM, "flush before the size changes");
    struct encoder *fresh = session->kind->open(settings, &refusal);
    if (!fresh) return session_fail(session, ENC_INVALID_PARAM, "%s", refusal);
    session->kind->close(session->encoder);
    session->encoder = fresh;
    session->delay = delay_of(session, settings);
    session->submitted = 0;
    return ENC_SUCCESS;
}

int session_reconfigure(struct session *session, const struct settings *settings, int reset, int force_idr) {
    if (!session->encoder) return session_fail(session, ENC_NOT_INITIALIZED, "not initialised");
    int status = check_settings(session, settings);
    const struct settings *old = &session->settings;
    int resized = settings->width != old->width || settings->height != old->height;
    if (status) return status;
    if (settings->codec != old->codec || settings->b_frames != old->b_frames || settings->look_ahead != old->look_ahead)
        return session_fail(session, ENC_UNSUPPORTED_PARAM, "codec, B frames and look-ahead cannot be reconfigured");
    if (settings->width > old->max_width || settings->height > old->max_height)
        return session_fail(session, ENC_INVALID_PARAM, "%ux%u is beyond the maximum of %ux%u", settings->width, settings->height,
            old->max_width, old->max_height);
    if (resized && !(reset && force_idr)) return session_fail(session, ENC_INVALID_PARAM, "a new size needs resetEncoder and forceIDR");
    struct settings fresh = *settings;
    fresh.max_width = old->max_width;
    fresh.max_height = old->max_height;
    pthread_mutex_lock(&session->lock);
    session_settle(session);
    status = resized || reset ? reopen(session, &fresh) : session->kind->reconfigure(session->encoder, &fresh)
        ? ENC_SUCCESS : ENC_INVALID_PARAM;
    if (!status) session->settings = fresh;
    pthread_mutex_unlock(&session->lock);
    return status;
}

static int check_submission(struct session *session, const struct input *input, const struct bitstream *output) {
    if (!session->encoder) return session_fail(session, ENC_NOT_INITIALIZED, "not initialised");
    if (!input || !output || input->session != session || output->session != session)
        return session_fail(session, ENC_INVALID_PTR, "an unknown buffer");
    if (!input->owned && !input->mapped) return session_fail(session, ENC_NOT_MAPPED, "the input is not mapped");
    if (input->width < session->settings.width || input->height < session->settings.height)
        return session_fail(session, ENC_INVALID_PARAM, "the input is smaller than the picture");
    if ((input->layout == LAYOUT_P010) != session->settings.ten_bit)
        return session_fail(session, ENC_INVALID_PARAM, "the input's depth is not the encoder's");
    if (output->awaited || output->ready || output->locked)
        return session_fail(session, ENC_INVALID_CALL, "the bitstream buffer is in use");
    if (double_fault_at("nvenc.busy", session->device)) return session_fail(session, ENC_ENCODER_BUSY, "busy by a fault");
    if (double_fault_at("nvenc.encode", session->device)) return session_fail(session, ENC_GENERIC, "encode failed by a fault");
    return ENC_SUCCESS;
}

static struct job *copy_job(const struct job *request) {
    struct job *job = malloc(sizeof *job);
    *job = *request;
    for (size_t i = 0; i < job->sei_count; i++) {
        job->sei[i].payload = malloc(request->sei[i].size ? request->sei[i].size : 1);
        memcpy(job->sei[i].payload, request->sei[i].payload, request->sei[i].size);
    }
    return job;
}

// Without streams of its own, the encoder waits for the default stream alone and then takes what the memory holds.
static void announce(struct session *session, struct job *job) {
    int on_device = !job->input->owned;
    if (on_device && session->has_input_stream && !double_enqueue(session->context, session->input_stream, job_arrive, job)) return;
    if (on_device) double_wait(session->context, NULL);
    job_arrive(job, CUDA_SUCCESS);
}

int session_encode(struct session *session, struct input *input, struct bitstream *output, const struct job *request) {
    int status = check_submission(session, input, output);
    if (status) return status;
    pthread_mutex_lock(&session->lock);
    if (session->queued == QUEUE - 1 || session->waiting_count == QUEUE || session->held_count + session->queued >= QUEUE) {
        pthread_mutex_unlock(&session->lock);
        return session_fail(session, ENC_NOT_ENOUGH_BUFFER, "%d pictures are under way", QUEUE);
    }
    if (input->busy) double_violation("an input was submitted while the encoder uses it");
    struct job *job = copy_job(request);
    job->session = session;
    job->input = input;
    job->output = output;
    job->number = session->submitted++;
    session->taken++;
    input->busy++;
    job->references = 2; // the encoder's and the bitstream buffer's
    output->submission = job;
    output->awaited = 1;
    output->failed = 0;
    session->waiting[session->waiting_count++] = output;
    session->queue[session->queued++] = job;
    if (job->force_idr) double_count(COUNT_idr_forced, 1);
    if (double_fault_at("nvenc.own_idr", session->device)) job->force_idr = 1;
    int needs_more = job->number < session->delay;
    pthread_mutex_unlock(&session->lock);
    announce(session, job);
    return needs_more ? ENC_NEED_MORE_INPUT : ENC_SUCCESS;
}

int session_end_of_stream(struct session *session) {
    if (!session->encoder) return session_fail(session, ENC_NOT_INITIALIZED, "not initialised");
    struct job *job = calloc(1, sizeof *job);
    job->session = session;
    job->end_of_stream = 1;
    job->references = 1;
    pthread_mutex_lock(&session->lock);
    session->flushed = session->taken;
    session->queue[session->queued++] = job;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    return ENC_SUCCESS;
}

int session_close(struct session *session) {
    if (session->has_input_stream) double_wait(session->context, session->input_stream);
    worker_stop(session);
    for (size_t i = 0; i < session->held_count; i++) job_release(session->held[i]);
    buffers_close(session);
    if (session->encoder) session->kind->close(session->encoder);
    limit_give_back(session->limit_slot);
    double_level(LEVEL_sessions, -1);
    session->alive = 0;
    return ENC_SUCCESS;
}
