// Parsing and matching of faults.
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES 64
#define POLL_NS 10000000

struct entry {
    char key[48];
    long value;
    int has_value, device;
    long after, times;
    long occasions, fired;
};

static struct entry entries[ENTRIES];
static int entry_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int control_fd = -1, state_fds[2] = {-1, -1};
static struct timespec control_changed;
static off_t control_size = -1;
static int64_t polled_ns;

static void parse_modifier(struct entry *entry, const char *text) {
    if (!strncmp(text, "device=", 7)) entry->device = atoi(text + 7);
    if (!strncmp(text, "after=", 6)) entry->after = atol(text + 6);
    if (!strncmp(text, "times=", 6)) entry->times = atol(text + 6);
}

static void parse_entry(char *text) {
    struct entry *entry = &entries[entry_count];
    *entry = (struct entry){.device = ANY_DEVICE};
    char *rest = text, *part = strsep(&rest, "@");
    char *value = strchr(part, '=');
    if (value) {
        *value++ = 0;
        entry->has_value = 1;
        entry->value = strtol(value, NULL, 0);
    }
    snprintf(entry->key, sizeof entry->key, "%s", part);
    while ((part = strsep(&rest, "@"))) parse_modifier(entry, part);
    entry_count++;
}

static void parse(const char *text) {
    char copy[4096], *rest = copy, *part;
    snprintf(copy, sizeof copy, "%s", text);
    entry_count = 0;
    while (entry_count < ENTRIES && (part = strsep(&rest, ", \n\t")))
        if (*part) parse_entry(part);
}

static int state_file(const char *name) {
    const char *directory = getenv("HEADEND_DOUBLE_STATE");
    char path[4096];
    if (!directory || !*directory) return -1;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
}

static int open_control(void) {
    const char *path = getenv("HEADEND_DOUBLE_CONTROL");
    return path && *path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

__attribute__((constructor)) static void load_faults(void) {
    const char *text = getenv("HEADEND_DOUBLE_FAULT");
    parse(text ? text : "");
    control_fd = open_control();
    state_fds[STATE_SESSIONS] = state_file("sessions");
    state_fds[STATE_STARTS] = state_file("starts");
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// Whether an entry wants the counters; reading it again only happens when the file changes.
static int reload(void) {
    struct stat stat;
    char text[4096];
    if (now_ns() - polled_ns < POLL_NS) return 0;
    polled_ns = now_ns();
    int fresh = open_control();
    if (fresh >= 0) {
        if (control_fd >= 0) close(control_fd);
        control_fd = fresh;
    }
    if (control_fd < 0 || fstat(control_fd, &stat) != 0) return 0;
    if (stat.st_size == control_size && !memcmp(&stat.st_mtim, &control_changed, sizeof control_changed)) return 0;
    ssize_t length = pread(control_fd, text, sizeof text - 1, 0);
    if (length < 0) return 0;
    control_size = stat.st_size;
    control_changed = stat.st_mtim;
    text[length] = 0;
    parse(text);
    for (int i = 0; i < entry_count; i++)
        if (!strcmp(entries[i].key, "dump")) return 1;
    return 0;
}

static struct entry *find(const char *key, int device) {
    for (int i = 0; i < entry_count; i++)
        if (!strcmp(entries[i].key, key) && (entries[i].device == ANY_DEVICE || device == ANY_DEVICE || entries[i].device == device))
            return &entries[i];
    return NULL;
}

// A fault that goes on firing would fill the report: the first ten are told, then every power of two.
static void tell(const char *key, long count) {
    if (count <= 10 || !(count & (count - 1))) double_report("fired %s pid=%d count=%ld", key, (int)getpid(), count);
}

static int still_fires(struct entry *entry) {
    return entry->times == 0 || entry->fired < entry->times;
}

static struct entry *locked_find(const char *key, int device) {
    pthread_mutex_lock(&lock);
    if (reload()) double_dump();
    return find(key, device);
}

long double_setting(const char *key, int device, long otherwise) {
    struct entry *entry = locked_find(key, device);
    long value = entry && entry->has_value ? entry->value : otherwise;
    pthread_mutex_unlock(&lock);
    return value;
}

long double_fault(const char *key, int device, long otherwise) {
    struct entry *entry = locked_find(key, device);
    long value = 0;
    if (entry && ++entry->occasions > entry->after && still_fires(entry)) {
        value = entry->has_value ? entry->value : otherwise;
        if (value) tell(key, ++entry->fired);
    }
    pthread_mutex_unlock(&lock);
    return value;
}

int double_fault_at(const char *key, int device) {
    struct entry *entry = locked_find(key, device);
    int fires = 0;
    if (entry && ++entry->occasions >= entry->after + (entry->has_value ? entry->value : 1) && still_fires(entry)) {
        tell(key, ++entry->fired);
        fires = 1;
    }
    pthread_mutex_unlock(&lock);
    return fires;
}

void double_fired(const char *key) {
    static long without_entry;
    struct entry *entry = locked_find(key, ANY_DEVICE);
    tell(key, entry ? ++entry->fired : ++without_entry);
    pthread_mutex_unlock(&lock);
}

int double_state_fd(enum double_state which) {
    return state_fds[which];
}
