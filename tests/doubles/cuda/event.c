// Events: points in a stream's work that the host or another stream waits for.
#include "internal.h"

#include <stdlib.h>
#include <time.h>

#define EVENTS 4096

struct event {
    int alive, timed, recorded;
    uint64_t generation; // tells an operation still queued that the slot has a new owner
    struct ticket ticket;
    int64_t time_ns;
};

struct recording {
    struct event *event;
    uint64_t generation;
};

static struct event events[EVENTS];
static size_t next_slot;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct event *event_of(CUevent handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)events;
    struct event *event = (struct event *)handle;
    return offset < sizeof events && offset % sizeof events[0] == 0 && event->alive ? event : NULL;
}

DOUBLE_EXPORT CUresult cuEventCreate(CUevent *handle, unsigned flags) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!handle || flags > 7) return (CUresult)CUDA_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    struct event *event = NULL;
    for (size_t i = 0; i < EVENTS && !event; i++, next_slot = (next_slot + 1) % EVENTS)
        if (!events[next_slot].alive) event = &events[next_slot];
    if (event) {
        uint64_t generation = event->generation + 1;
        *event = (struct event){.alive = 1, .timed = !(flags & CU_EVENT_DISABLE_TIMING), .generation = generation};
    }
    pthread_mutex_unlock(&lock);
    *handle = (CUevent)event;
    return event ? CUDA_SUCCESS : (CUresult)CUDA_OUT_OF_MEMORY;
}

DOUBLE_EXPORT CUresult cuEventDestroy_v2(CUevent handle) {
    struct event *event = event_of(handle);
    if (!event) return (CUresult)CUDA_INVALID_HANDLE;
    event->alive = 0;
    return CUDA_SUCCESS;
}

static void note_time(void *argument, CUresult status) {
    struct recording recording = *(struct recording *)argument;
    struct timespec now;
    (void)status;
    free(argument);
    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&lock);
    if (recording.event->generation == recording.generation) recording.event->time_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    pthread_mutex_unlock(&lock);
}

DOUBLE_EXPORT CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    struct context *context;
    struct stream *stream;
    struct event *event = event_of(handle);
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, stream_handle, &stream);
    if (status) return status;
    if (!event) return (CUresult)CUDA_INVALID_HANDLE;
    struct recording *recording = malloc(sizeof *recording);
    *recording = (struct recording){event, event->generation};
    struct ticket ticket = stream_submit(stream, note_time, recording, NULL, 0);
    pthread_mutex_lock(&lock);
    event->ticket = ticket;
    event->recorded = 1;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

static CUresult event_ticket(CUevent handle, struct context **context, struct ticket *ticket) {
    struct event *event = event_of(handle);
    CUresult status = enter(context);
    if (status) return status;
    if (!event) return (CUresult)CUDA_INVALID_HANDLE;
    pthread_mutex_lock(&lock);
    *ticket = event->recorded ? event->ticket : (struct ticket){0};
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuEventQuery(CUevent handle) {
    struct context *context;
    struct ticket ticket;
    CUresult status = event_ticket(handle, &context, &ticket);
    if (status) return status;
    return stream_done(ticket) ? CUDA_SUCCESS : (CUresult)CUDA_NOT_READY;
}

DOUBLE_EXPORT CUresult cuEventSynchronize(CUevent handle) {
    struct context *context;
    struct ticket ticket;
    CUresult status = event_ticket(handle, &context, &ticket);
    if (status) return status;
    stream_wait_ticket(ticket);
    if (double_fault_at("cuda.loss_at_sync", context->device)) double_poison(context->device, (CUresult)CUDA_LAUNCH_FAILED);
    return context_error(context);
}

DOUBLE_EXPORT CUresult cuStreamWaitEvent(CUstream stream_handle, CUevent handle, unsigned flags) {
    struct context *context;
    struct stream *stream;
    struct ticket ticket;
    CUresult status = event_ticket(handle, &context, &ticket);
    if (!status) status = stream_of(context, stream_handle, &stream);
    if (status) return status;
    if (flags) return (CUresult)CUDA_INVALID_VALUE;
    if (ticket.stream) stream_submit(stream, NULL, NULL, &ticket, 1);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuEventElapsedTime(float *elapsed_ms, CUevent start_handle, CUevent end_handle) {
    struct event *start = event_of(start_handle), *end = event_of(end_handle);
    if (!elapsed_ms) return (CUresult)CUDA_INVALID_VALUE;
    if (!start || !end || !start->timed || !end->timed || !start->recorded || !end->recorded) return (CUresult)CUDA_INVALID_HANDLE;
    if (!stream_done(start->ticket) || !stream_done(end->ticket)) return (CUresult)CUDA_NOT_READY;
    *elapsed_ms = (float)(end->time_ns - start->time_ns) / 1e6f;
    return CUDA_SUCCESS;
}

PROTOTYPE(cuEventCreate);
PROTOTYPE(cuEventDestroy_v2);
PROTOTYPE(cuEventRecord);
PROTOTYPE(cuEventQuery);
PROTOTYPE(cuEventSynchronize);
