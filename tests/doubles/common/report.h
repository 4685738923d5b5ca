// What the doubles tell a test: lines appended to the file named by HEADEND_DOUBLE_REPORT.
#pragma once
#include <stdint.h>

#define DOUBLE_EXPORT __attribute__((visibility("default")))

// Counters that only grow, then levels, each of which is kept with its peak (`NAME_live`, `NAME_peak`).
#define DOUBLE_COUNTERS(X)                                                                                                     \
    X(allocations) X(frees) X(host_allocations) X(h2d_bytes) X(d2h_bytes) X(d2d_bytes) X(h2d_copies) X(d2h_copies)             \
    X(d2d_copies) X(frame_sized_h2d) X(frame_sized_d2h) X(launches) X(registrations) X(maps) X(video_maps) X(decoded)          \
    X(encoded) X(idr_forced) X(violations) X(overwritten_inputs)
#define DOUBLE_LEVELS(X) X(blocks) X(device_bytes) X(streams) X(sessions) X(decoders) X(registered) X(mapped) X(video_mapped)

#define DOUBLE_ENUMERATOR(name) COUNT_##name,
enum double_counter { DOUBLE_COUNTERS(DOUBLE_ENUMERATOR) DOUBLE_COUNTER_TOTAL };
#undef DOUBLE_ENUMERATOR
#define DOUBLE_ENUMERATOR(name) LEVEL_##name,
enum double_level { DOUBLE_LEVELS(DOUBLE_ENUMERATOR) DOUBLE_LEVEL_TOTAL };
#undef DOUBLE_ENUMERATOR

DOUBLE_EXPORT void double_count(enum double_counter counter, int64_t amount);
DOUBLE_EXPORT void double_level(enum double_level level, int64_t change);

// Appends one line (written with one write, so that lines of several processes do not mix).
DOUBLE_EXPORT void double_report(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A misuse that the real driver would accept without a word and answer with broken pictures: counted, reported, said on stderr.
DOUBLE_EXPORT void double_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Writes every counter as one line; also done when the process exits.
DOUBLE_EXPORT void double_dump(void);

// An address of the device that the host touched: async-signal-safe, unlike the above.
void double_report_host_access(uint64_t address);
