// The encoder's own pace: a thread per session takes the submitted pictures in order, some time after they were submitted, and
// reads the input then. An input belongs to the encoder until the bitstream that was submitted with it is locked; what changed in
// between shows in a checksum.
#include "session.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

// FNV-1a over words: fast enough for every picture, and any change shows.
static uint64_t checksum(const uint8_t *data, size_t length) {
    uint64_t sum = 0xcbf29ce484222325ULL, word;
    for (size_t i = 0; i + sizeof word <= length; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        sum = (sum ^ word) * 0x100000001b3ULL;
        sum ^= sum >> 29;
    }
    return sum;
}

static uint64_t input_checksum(const struct input *input) {
    uint64_t sum = 0;
    size_t row = (size_t)input->width * (input->layout == LAYOUT_P010 ? 2 : 1);
    if (input->layout == LAYOUT_IYUV || input->layout == LAYOUT_YV12) row = input->pitch;
    for (size_t y = 0; y < input->height + input->height / 2; y++) sum = sum * 31 + checksum(input_data(input) + y * input->pitch, row);
    return sum;
}

static int readable(const struct input *input) {
    return input->owned || !double_device_range(input->address, input_bytes(input));
}

// Runs when the input stream gets to the encode: from here on the picture must stay as it is.
void job_arrive(void *argument, CUresult status) {
    struct job *job = argument;
    uint64_t sum = !status && readable(job->input) ? input_checksum(job->input) : 0;
    pthread_mutex_lock(&job->session->lock);
    job->checksum = sum;
    job->has_checksum = !status;
    job->state = JOB_ARRIVED;
    pthread_cond_broadcast(&job->session->changed);
    pthread_mutex_unlock(&job->session->lock);
}

void job_release(struct job *job) {
    if (--job->references > 0) return;
    for (size_t i = 0; i < job->sei_count; i++) free(job->sei[i].payload);
    free(job);
}

static void check_unchanged(const struct job *job, const char *when) {
    if (!job->has_checksum || !readable(job->input) || input_checksum(job->input) == job->checksum) return;
    double_count(COUNT_overwritten_inputs, 1);
    double_violation("input of picture %llu was overwritten %s", (unsigned long long)job->number, when);
}

void give_back_input(struct bitstream *bitstream) {
    struct job *job = bitstream->submission;
    if (!job) return;
    check_unchanged(job, "before its bitstream was locked");
    job->input->busy--;
    job_release(job);
    bitstream->submission = NULL;
}

static struct samples samples_of(const struct input *input) {
    struct samples samples = {.layout = input->layout};
    uint8_t *luma = input_data(input), *chroma = luma + (size_t)input->pitch * input->height;
    samples.semi_planar = input->layout == LAYOUT_NV12 || input->layout == LAYOUT_P010;
    samples.planes[0] = luma;
    samples.planes[1] = chroma;
    samples.strides[0] = (int)input->pitch;
    samples.strides[1] = samples.strides[2] = samples.semi_planar ? (int)input->pitch : (int)input->pitch / 2;
    if (samples.semi_planar) return samples;
    uint8_t *second = chroma + (size_t)(input->pitch / 2) * ((input->height + 1) / 2);
    samples.planes[1] = input->layout == LAYOUT_YV12 ? second : chroma;
    samples.planes[2] = input->layout == LAYOUT_YV12 ? chroma : second;
    return samples;
}

static struct job *take_held(struct session *session, uint64_t number) {
    for (size_t i = 0; i < session->held_count; i++) {
        struct job *job = session->held[i];
        if (job->number != number) continue;
        session->held[i] = session->held[--session->held_count];
        return job;
    }
    return NULL;
}

// Fills the next waiting output with a coded picture: outputs fill in coded order, whatever was submitted with them.
static void deliver(struct session *session, const struct coded *coded) {
    struct job *job = take_held(session, coded->number);
    if (!job) return;
    if (!session->waiting_count) { // the client gave its buffer up
        job_release(job);
        return;
    }
    struct bitstream *output = session->waiting[0];
    memmove(session->waiting, session->waiting + 1, --session->waiting_count * sizeof session->waiting[0]);
    if (output->capacity < coded->length) {
        free(output->data);
        output->data = malloc(coded->length);
        output->capacity = coded->length;
    }
    memcpy(output->data, coded->data, coded->length);
    output->length = coded->length;
    output->timestamp = job->timestamp;
    output->duration = job->duration;
    output->frame = (uint32_t)job->number;
    output->type = coded->type;
    output->qp = coded->qp;
    output->order = session->filled++;
    output->awaited = 0;
    output->ready = 1;
    job_release(job);
    double_count(COUNT_encoded, 1);
    pthread_cond_broadcast(&session->changed);
}

// Nothing comes out any more: those who wait must not wait for ever.
static void fail_waiting(struct session *session) {
    for (size_t i = 0; i < session->waiting_count; i++) {
        session->waiting[i]->failed = session->waiting[i]->ready = 1;
        session->waiting[i]->awaited = 0;
    }
    session->waiting_count = 0;
    pthread_cond_broadcast(&session->changed);
}

static void encode_job(struct session *session, struct job *job) {
    struct coded coded = {0};
    struct samples samples = samples_of(job->input);
    double_delay();
    check_unchanged(job, "before it was read");
    int result = readable(job->input) ? session->kind->encode(session->encoder, &samples, job->number, job->force_idr, job->sei,
        job->sei_count, &coded) : -1;
    pthread_mutex_lock(&session->lock);
    if (result > 0) deliver(session, &coded);
    if (result < 0) fail_waiting(session);
    pthread_mutex_unlock(&session->lock);
}

static void flush(struct session *session) {
    struct coded coded = {0};
    while (session->kind->encode(session->encoder, NULL, 0, 0, NULL, 0, &coded) > 0) {
        pthread_mutex_lock(&session->lock);
        deliver(session, &coded);
        pthread_mutex_unlock(&session->lock);
    }
    pthread_mutex_lock(&session->lock);
    fail_waiting(session);
    pthread_mutex_unlock(&session->lock);
}

static struct job *next_job(struct session *session) {
    struct job *job = session->queue[0];
    while (!job->end_of_stream && job->state != JOB_ARRIVED) pthread_cond_wait(&session->changed, &session->lock);
    memmove(session->queue, session->queue + 1, --session->queued * sizeof session->queue[0]);
    if (!job->end_of_stream) session->held[session->held_count++] = job;
    session->working = 1;
    return job;
}

static void *worker_main(void *argument) {
    struct session *session = argument;
    pthread_mutex_lock(&session->lock);
    for (;;) {
        while (!session->queued && !session->closing) pthread_cond_wait(&session->changed, &session->lock);
        if (!session->queued) break;
        struct job *job = next_job(session);
        pthread_mutex_unlock(&session->lock);
        if (job->end_of_stream) {
            flush(session);
            pthread_mutex_lock(&session->lock);
            job_release(job);
            pthread_mutex_unlock(&session->lock);
        } else {
            encode_job(session, job);
        }
        pthread_mutex_lock(&session->lock);
        session->working = 0;
        pthread_cond_broadcast(&session->changed);
    }
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

int worker_start(struct session *session) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&session->thread, NULL, worker_main, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return 0;
    pthread_setname_np(session->thread, "double-nvenc");
    return session->has_thread = 1;
}

void worker_stop(struct session *session) {
    if (!session->has_thread) return;
    pthread_mutex_lock(&session->lock);
    session->closing = 1;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    pthread_join(session->thread, NULL);
    session->has_thread = 0;
}
