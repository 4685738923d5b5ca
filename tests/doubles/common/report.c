// The report file and the counters. They live in libcuda.so.1; the other doubles link to it.
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int64_t counters[DOUBLE_COUNTER_TOTAL];
static struct {
    int64_t live, peak;
} levels[DOUBLE_LEVEL_TOTAL];
static int report_fd = -1;

// Opened when the library is loaded: a process that locks itself down may no longer open it later.
__attribute__((constructor)) static void open_report(void) {
    const char *path = getenv("HEADEND_DOUBLE_REPORT");
    if (path && *path) report_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

static void write_line(const char *line, size_t length) {
    if (report_fd >= 0 && write(report_fd, line, length) < 0) (void)!write(2, line, length);
}

void double_count(enum double_counter counter, int64_t amount) {
    __atomic_add_fetch(&counters[counter], amount, __ATOMIC_RELAXED);
}

void double_level(enum double_level level, int64_t change) {
    int64_t live = __atomic_add_fetch(&levels[level].live, change, __ATOMIC_RELAXED);
    int64_t peak = __atomic_load_n(&levels[level].peak, __ATOMIC_RELAXED);
    while (live > peak && !__atomic_compare_exchange_n(&levels[level].peak, &peak, live, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

static size_t format_line(char *line, size_t size, const char *format, va_list arguments) {
    int length = vsnprintf(line, size - 1, format, arguments);
    size_t end = length < 0 ? 0 : (size_t)length >= size - 1 ? size - 2 : (size_t)length;
    line[end++] = '\n';
    return end;
}

void double_report(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    write_line(line, format_line(line, sizeof line, format, arguments));
    va_end(arguments);
}

void double_violation(const char *format, ...) {
    char line[1024] = "violation ";
    size_t head = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    size_t length = head + format_line(line + head, sizeof line - head, format, arguments);
    va_end(arguments);
    double_count(COUNT_violations, 1);
    write_line(line, length);
    (void)!write(2, line, length);
}

void double_dump(void) {
    char line[4096];
    size_t end = (size_t)snprintf(line, sizeof line, "counters pid=%d program=%s", (int)getpid(), program_invocation_short_name);
#define ADD(name)                                                                                                              \
    end += (size_t)snprintf(line + end, sizeof line - end, " " #name "=%lld",                                                  \
                            (long long)__atomic_load_n(&counters[COUNT_##name], __ATOMIC_RELAXED));
    DOUBLE_COUNTERS(ADD)
#undef ADD
#define ADD(name)                                                                                                              \
    end += (size_t)snprintf(line + end, sizeof line - end, " " #name "_live=%lld " #name "_peak=%lld",                         \
                            (long long)levels[LEVEL_##name].live, (long long)levels[LEVEL_##name].peak);
    DOUBLE_LEVELS(ADD)
#undef ADD
    double_report("%s", line);
}

__attribute__((destructor)) static void dump_at_exit(void) {
    if (report_fd >= 0) double_dump();
}

static size_t put_text(char *line, size_t end, const char *text) {
    size_t length = strlen(text);
    memcpy(line + end, text, length);
    return end + length;
}

void double_report_host_access(uint64_t address) {
    char line[128], digits[17];
    size_t end = put_text(line, 0, "violation host touched device memory at 0x");
    for (int i = 0; i < 16; i++) digits[i] = "0123456789abcdef"[(address >> (60 - 4 * i)) & 15];
    digits[16] = 0;
    end = put_text(line, end, digits);
    line[end++] = '\n';
    write_line(line, end);
    (void)!write(2, line, end);
}
