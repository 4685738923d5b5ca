#include "witness.h"

#include <string.h>

CUcontext make_context(void) {
    CUcontext context;
    MUST(cuInit(0));
    MUST(cuCtxCreate_v2(&context, 0, 0));
    return context;
}

int main(int count, char **arguments) {
    const char *story = count > 1 ? arguments[1] : "";
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(story, "host-read")) return tell_host_read();
    if (!strcmp(story, "freed")) return tell_freed();
    if (!strcmp(story, "unsynchronised")) return tell_unsynchronised();
    if (!strcmp(story, "kernel")) return tell_kernel();
    if (!strcmp(story, "stray-kernel")) return tell_stray_kernel();
    if (!strcmp(story, "decode") && count == 3) return tell_decode(arguments + 2);
    if (!strcmp(story, "encode") && count >= 7) return tell_encode(arguments + 2);
    if (!strcmp(story, "hold")) return tell_hold();
    fprintf(stderr, "no such story\n");
    return 64;
}
