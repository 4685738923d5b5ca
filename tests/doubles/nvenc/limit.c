// The number of sessions that the driver allows: of this process, or of the whole system where the processes share a state
// directory. There each session locks one byte of a file, so that the kernel gives back what a dead process held.
#include "session.h"

#include <fcntl.h>
#include <unistd.h>

#define SLOTS 1024

static int held[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int lock_byte(int slot, short type) {
    int fd = double_state_fd(STATE_SESSIONS);
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
    return fd < 0 || fcntl(fd, F_SETLK, &range) == 0;
}

int limit_take(int device, int *slot) {
    long limit = double_setting("nvenc.sessions", device, SLOTS);
    pthread_mutex_lock(&lock);
    *slot = -1;
    for (int i = 0; i < limit && i < SLOTS && *slot < 0; i++)
        if (!held[i] && lock_byte(i, F_WRLCK)) *slot = i;
    if (*slot >= 0) held[*slot] = 1;
    pthread_mutex_unlock(&lock);
    if (*slot >= 0) return ENC_SUCCESS;
    double_fired("nvenc.sessions");
    // 10 as GeForce drivers have long answered, or 21 as some newer ones do
    return (int)double_setting("nvenc.session_code", device, ENC_OUT_OF_MEMORY);
}

void limit_give_back(int slot) {
    if (slot < 0) return;
    pthread_mutex_lock(&lock);
    held[slot] = 0;
    lock_byte(slot, F_UNLCK);
    pthread_mutex_unlock(&lock);
}
