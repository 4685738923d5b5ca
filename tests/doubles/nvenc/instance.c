// The library's two symbols: which API versions it serves, and the table of functions for the version that the client was built for.
#include "session.h"

int entry_11(void *list);
int entry_12(void *list);

// What the double serves at most, as MAJOR * 100 + MINOR; a fault may make it an older driver.
static uint32_t served(void) {
    return (uint32_t)double_setting("nvenc.api", ANY_DEVICE, 1201);
}

DOUBLE_EXPORT int NvEncodeAPIGetMaxSupportedVersion(uint32_t *version) {
    if (!version) return ENC_INVALID_PTR;
    *version = served() / 100 << 4 | served() % 100;
    if (served() < 1201) double_fired("nvenc.api");
    return ENC_SUCCESS;
}

DOUBLE_EXPORT int NvEncodeAPICreateInstance(void *list) {
    if (!list) return ENC_INVALID_PTR;
    uint32_t version = *(uint32_t *)list, major = version & 0xff, minor = version >> 24 & 0xf;
    if (major * 100 + minor > served()) return ENC_INVALID_VERSION;
    if (major == 12) return entry_12(list);
    return major == 11 ? entry_11(list) : ENC_INVALID_VERSION;
}
