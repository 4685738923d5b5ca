// Faults and settings: HEADEND_DOUBLE_FAULT, or the file named by HEADEND_DOUBLE_CONTROL once it exists.
//
// Both hold entries separated by commas, spaces or newlines: `key=value[@device=N][@after=N][@times=N]`. An entry counts for the
// device N only, only after N occasions, and at most N times. The control file replaces the environment's entries as long as it
// exists (empty: no faults), is read again when it changes, and must be written in place where the process is locked down, since
// it is then only seen through the descriptor opened when the library was loaded. README.md lists the keys.
#pragma once
#include "report.h"

#define ANY_DEVICE (-1)

// The value of a setting, which is not counted or reported.
DOUBLE_EXPORT long double_setting(const char *key, int device, long otherwise);

// The value of a fault that fires now, reported; 0 where there is none. An entry without a value has `otherwise`.
DOUBLE_EXPORT long double_fault(const char *key, int device, long otherwise);

// Whether a fault `key=N` fires now: at the Nth occasion (counted from 1) and at all later ones, unless @times ends it.
DOUBLE_EXPORT int double_fault_at(const char *key, int device);

// Reports a fault whose firing is decided elsewhere (a limit that was met, a version that was too old).
DOUBLE_EXPORT void double_fired(const char *key);

// A descriptor for FILE in the directory named by HEADEND_DOUBLE_STATE, -1 where that is not set. Opened when the library is loaded.
enum double_state { STATE_SESSIONS, STATE_STARTS };
DOUBLE_EXPORT int double_state_fd(enum double_state which);
