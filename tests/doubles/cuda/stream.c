// Streams: a thread each, with a bounded queue and a random wait before every operation, so that a client that forgets to
// synchronise reads what is not there yet. Also the rules of the legacy default stream: its work waits for all work queued before
// on the context's other (blocking) streams, and theirs waits for its.
#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STREAMS 256
#define QUEUE 512

struct operation {
    double_work *run;
    void *argument;
    struct ticket *after;
    size_t after_count;
};

struct stream {
    int alive, retired, started, non_blocking, legacy;
    struct context *context;
    struct operation queue[QUEUE];
    uint64_t submitted, completed; // never reset: a ticket of an earlier owner of the slot stays done
    pthread_cond_t work;
    pthread_t thread;
};

static struct stream streams[STREAMS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;
static __thread struct stream *per_thread;

void double_delay(void) {
    static __thread uint64_t seed;
    long limit_us = double_setting("cuda.delay_us", ANY_DEVICE, 150);
    if (limit_us <= 0) return;
    if (!seed) seed = (uint64_t)&seed ^ 0x9E3779B97F4A7C15ULL;
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    struct timespec wait = {0, (long)(seed % (uint64_t)(limit_us + 1)) * 1000};
    nanosleep(&wait, NULL);
}

static int all_done(const struct operation *operation) {
    for (size_t i = 0; i < operation->after_count; i++)
        if (operation->after[i].stream->completed < operation->after[i].number) return 0;
    return 1;
}

static void run_next(struct stream *stream) {
    struct operation operation = stream->queue[stream->completed % QUEUE];
    while (!all_done(&operation)) pthread_cond_wait(&progress, &lock);
    pthread_mutex_unlock(&lock);
    double_delay();
    if (operation.run) operation.run(operation.argument, context_error(stream->context));
    free(operation.after);
    pthread_mutex_lock(&lock);
    stream->completed++;
    pthread_cond_broadcast(&progress);
}

static void *stream_main(void *argument) {
    struct stream *stream = argument;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (stream->completed == stream->submitted && !stream->retired) pthread_cond_wait(&stream->work, &lock);
        if (stream->completed == stream->submitted) break;
        run_next(stream);
    }
    stream->alive = stream->started = 0;
    pthread_mutex_unlock(&lock);
    return NULL;
}

// The client's signals stay the client's; the synchronous ones must arrive here (memory.c).
static int start_thread(struct stream *stream) {
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&stream->thread, NULL, stream_main, stream);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return 0;
    pthread_setname_np(stream->thread, "double-stream");
    pthread_detach(stream->thread);
    return stream->started = 1;
}

static struct stream *create_locked(struct context *context, int non_blocking, int legacy) {
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *stream = &streams[i];
        if (stream->alive) continue;
        stream->alive = 1;
        stream->retired = 0;
        stream->context = context;
        stream->non_blocking = non_blocking;
        stream->legacy = legacy;
        pthread_cond_init(&stream->work, NULL);
        return stream;
    }
    return NULL;
}

static struct stream *create(struct context *context, int non_blocking, int legacy) {
    pthread_mutex_lock(&lock);
    struct stream *stream = create_locked(context, non_blocking, legacy);
    pthread_mutex_unlock(&lock);
    return stream;
}

static size_t legacy_dependencies(const struct stream *stream, struct ticket *tickets) {
    size_t count = 0;
    if (!stream->legacy && stream->non_blocking) return 0;
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *other = &streams[i];
        if (other == stream || !other->alive || other->context != stream->context || other->non_blocking) continue;
        if (stream->legacy != other->legacy) tickets[count++] = (struct ticket){other, other->submitted};
    }
    return count;
}

struct ticket stream_submit(struct stream *stream, double_work *run, void *argument, const struct ticket *after, size_t after_count) {
    pthread_mutex_lock(&lock);
    if (!stream->started && !start_thread(stream)) abort();
    while (stream->submitted - stream->completed >= QUEUE) pthread_cond_wait(&progress, &lock);
    struct operation *operation = &stream->queue[stream->submitted % QUEUE];
    *operation = (struct operation){run, argument, malloc((STREAMS + after_count) * sizeof(struct ticket)), 0};
    operation->after_count = legacy_dependencies(stream, operation->after);
    for (size_t i = 0; i < after_count; i++) operation->after[operation->after_count++] = after[i];
    struct ticket ticket = {stream, ++stream->submitted};
    pthread_cond_signal(&stream->work);
    pthread_mutex_unlock(&lock);
    return ticket;
}

void stream_wait_ticket(struct ticket ticket) {
    pthread_mutex_lock(&lock);
    while (ticket.stream && ticket.stream->completed < ticket.number) pthread_cond_wait(&progress, &lock);
    pthread_mutex_unlock(&lock);
}

int stream_done(struct ticket ticket) {
    pthread_mutex_lock(&lock);
    int done = !ticket.stream || ticket.stream->completed >= ticket.number;
    pthread_mutex_unlock(&lock);
    return done;
}

struct ticket stream_last(struct stream *stream) {
    pthread_mutex_lock(&lock);
    struct ticket ticket = {stream, stream->submitted};
    pthread_mutex_unlock(&lock);
    return ticket;
}

static struct stream *default_stream(struct context *context) {
    pthread_mutex_lock(&lock);
    if (!context->legacy) context->legacy = create_locked(context, 0, 1);
    pthread_mutex_unlock(&lock);
    return context->legacy;
}

static int known(const struct stream *stream) {
    uintptr_t offset = (uintptr_t)stream - (uintptr_t)streams;
    return offset < sizeof streams && offset % sizeof streams[0] == 0 && stream->alive && !stream->retired;
}

CUresult stream_of(struct context *context, CUstream handle, struct stream **stream) {
    uintptr_t value = (uintptr_t)handle;
    if (value <= 1) {
        *stream = default_stream(context);
    } else if (value == 2) {
        if (!per_thread || per_thread->context != context || !known(per_thread)) per_thread = create(context, 0, 0);
        *stream = per_thread;
    } else {
        *stream = known((struct stream *)handle) ? (struct stream *)handle : NULL;
        if (!*stream) return (CUresult)CUDA_INVALID_HANDLE;
    }
    return *stream ? CUDA_SUCCESS : (CUresult)CUDA_OUT_OF_MEMORY;
}

void streams_drain(const struct context *context) {
    for (size_t i = 0; i < STREAMS; i++)
        if (streams[i].alive && streams[i].context == context) stream_wait_ticket(stream_last(&streams[i]));
}

static void retire(struct stream *stream) {
    pthread_mutex_lock(&lock);
    stream->retired = 1;
    if (stream->started)
        pthread_cond_signal(&stream->work);
    else
        stream->alive = 0;
    pthread_mutex_unlock(&lock);
}

void streams_retire(const struct context *context) {
    for (size_t i = 0; i < STREAMS; i++) {
        if (!streams[i].alive || streams[i].retired || streams[i].context != context) continue;
        if (!streams[i].legacy) double_level(LEVEL_streams, -1);
        retire(&streams[i]);
    }
}

CUresult double_enqueue(CUcontext handle, CUstream stream_handle, double_work *run, void *argument) {
    struct stream *stream;
    CUresult status = stream_of((struct context *)handle, stream_handle, &stream);
    if (status) return status;
    stream_submit(stream, run, argument, NULL, 0);
    return CUDA_SUCCESS;
}

CUresult double_wait(CUcontext handle, CUstream stream_handle) {
    struct stream *stream;
    CUresult status = stream_of((struct context *)handle, stream_handle, &stream);
    if (status) return status;
    stream_wait_ticket(stream_last(stream));
    return context_error((struct context *)handle);
}

// A loss that shows only when somebody waits for the work: no call before it says anything.
static CUresult loss_at_sync(struct context *context) {
    if (!double_fault_at("cuda.loss_at_sync", context->device)) return CUDA_SUCCESS;
    double_poison(context->device, (CUresult)CUDA_LAUNCH_FAILED);
    return (CUresult)CUDA_LAUNCH_FAILED;
}

static CUresult create_client_stream(CUstream *handle, unsigned flags) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!handle || flags > CU_STREAM_NON_BLOCKING) return (CUresult)CUDA_INVALID_VALUE;
    struct stream *stream = create(context, flags == CU_STREAM_NON_BLOCKING, 0);
    if (!stream) return (CUresult)CUDA_OUT_OF_MEMORY;
    double_level(LEVEL_streams, 1);
    *handle = (CUstream)stream;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuStreamCreate(CUstream *handle, unsigned flags) {
    return create_client_stream(handle, flags);
}

DOUBLE_EXPORT CUresult cuStreamCreateWithPriority(CUstream *handle, unsigned flags, int priority) {
    (void)priority;
    return create_client_stream(handle, flags);
}

DOUBLE_EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
    if (!known((struct stream *)handle)) return (CUresult)CUDA_INVALID_HANDLE;
    double_level(LEVEL_streams, -1);
    retire((struct stream *)handle);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuStreamSynchronize(CUstream handle) {
    struct context *context;
    struct stream *stream;
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, handle, &stream);
    if (status) return status;
    stream_wait_ticket(stream_last(stream));
    status = loss_at_sync(context);
    return status ? status : context_error(context);
}

DOUBLE_EXPORT CUresult cuStreamQuery(CUstream handle) {
    struct context *context;
    struct stream *stream;
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, handle, &stream);
    if (status) return status;
    return stream_done(stream_last(stream)) ? CUDA_SUCCESS : (CUresult)CUDA_NOT_READY;
}

DOUBLE_EXPORT CUresult cuCtxSynchronize(void) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    streams_drain(context);
    status = loss_at_sync(context);
    return status ? status : context_error(context);
}

struct callback {
    CUstreamCallback *with_status;
    void (*plain)(void *);
    CUstream stream;
    void *argument;
};

static void run_callback(void *argument, CUresult status) {
    struct callback callback = *(struct callback *)argument;
    free(argument);
    if (callback.with_status)
        callback.with_status(callback.stream, status, callback.argument);
    else if (!status) // a launched host function does not run once the device has died
        callback.plain(callback.argument);
}

static CUresult enqueue_callback(struct callback callback) {
    struct context *context;
    struct stream *stream;
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, callback.stream, &stream);
    if (status) return status;
    struct callback *copy = malloc(sizeof *copy);
    *copy = callback;
    stream_submit(stream, run_callback, copy, NULL, 0);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback *function, void *argument, unsigned flags) {
    if (!function || flags) return (CUresult)CUDA_INVALID_VALUE;
    return enqueue_callback((struct callback){function, NULL, stream, argument});
}

DOUBLE_EXPORT CUresult cuLaunchHostFunc(CUstream stream, void (*function)(void *), void *argument) {
    if (!function) return (CUresult)CUDA_INVALID_VALUE;
    return enqueue_callback((struct callback){NULL, function, stream, argument});
}

PROTOTYPE(cuStreamCreate);
PROTOTYPE(cuStreamDestroy_v2);
PROTOTYPE(cuStreamSynchronize);
PROTOTYPE(cuStreamQuery);
PROTOTYPE(cuStreamAddCallback);
