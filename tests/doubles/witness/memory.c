// Stories of memory, streams and kernels.
#include "witness.h"

#include <string.h>

#define BYTES (1 << 20)

int tell_host_read(void) {
    CUdeviceptr memory;
    make_context();
    MUST(cuMemAlloc_v2(&memory, BYTES));
    printf("%d\n", *(volatile char *)memory);
    return 0;
}

int tell_freed(void) {
    static char host[BYTES];
    CUdeviceptr memory, other;
    make_context();
    MUST(cuMemAlloc_v2(&memory, BYTES));
    MUST(cuMemcpyHtoD_v2(memory, host, BYTES));
    MUST(cuMemFree_v2(memory));
    printf("%d\n", (int)cuMemcpyDtoH_v2(host, memory, BYTES));
    printf("%d\n", (int)cuMemAlloc_v2(&other, BYTES));
    return 0;
}

// Whether a stream saw what another stream was told to write before.
static int sees(CUstream writer, CUstream reader, CUdeviceptr memory, char *host, int ordered) {
    CUevent written;
    MUST(cuMemsetD8Async(memory, 0, BYTES, reader));
    MUST(cuStreamSynchronize(reader));
    MUST(cuMemsetD8Async(memory, 1, BYTES / 2, writer));
    MUST(cuMemsetD8Async(memory, 7, BYTES, writer));
    if (ordered) {
        MUST(cuEventCreate(&written, 0));
        MUST(cuEventRecord(written, writer));
        MUST(cuStreamWaitEvent(reader, written, 0));
    }
    MUST(cuMemcpyDtoHAsync_v2(host, memory, BYTES, reader));
    MUST(cuStreamSynchronize(reader));
    MUST(cuStreamSynchronize(writer));
    for (int i = 0; i < BYTES; i++)
        if (host[i] != 7) return 0;
    return 1;
}

int tell_unsynchronised(void) {
    CUstream writer, reader;
    CUdeviceptr memory;
    char *host;
    int ordered = 0, loose = 0;
    make_context();
    MUST(cuStreamCreate(&writer, CU_STREAM_NON_BLOCKING));
    MUST(cuStreamCreate(&reader, CU_STREAM_NON_BLOCKING));
    MUST(cuMemAlloc_v2(&memory, BYTES));
    MUST(cuMemHostAlloc((void **)&host, BYTES, 0));
    for (int i = 0; i < 20; i++) ordered += sees(writer, reader, memory, host, 1);
    for (int i = 0; i < 20; i++) loose += sees(writer, reader, memory, host, 0);
    printf("ordered %d loose %d\n", ordered, loose);
    return 0;
}

static CUfunction load(const char *name) {
    static const char ptx[] = ".version 5.0\n.target sm_60\n.address_size 64\n"
                              ".visible .entry add_one(.param .u64 add_one_0, .param .u32 add_one_1)\n{ ret; }\n"
                              ".visible .entry without_cpu_build(.param .u64 without_0)\n{ ret; }\n";
    CUmodule module;
    CUfunction function = NULL;
    MUST(cuModuleLoadData(&module, ptx));
    printf("%s %d\n", name, (int)cuModuleGetFunction(&function, module, name));
    return function;
}

int tell_kernel(void) {
    unsigned char host[256] = {0};
    unsigned length = sizeof host;
    CUdeviceptr memory;
    void *parameters[] = {&memory, &length};
    make_context();
    MUST(cuMemAlloc_v2(&memory, sizeof host));
    MUST(cuMemcpyHtoD_v2(memory, host, sizeof host));
    load("without_cpu_build");
    load("without_entry");
    CUfunction function = load("add_one");
    MUST(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, parameters, NULL));
    length = 0; // a launch has its own copy of the parameters
    printf("too many threads %d\n", (int)cuLaunchKernel(function, 1, 1, 1, 1025, 1, 1, 0, NULL, parameters, NULL));
    MUST(cuMemcpyDtoH_v2(host, memory, sizeof host));
    printf("first %d last %d\n", host[0], host[255]);
    return 0;
}

int tell_stray_kernel(void) {
    unsigned length = 16;
    CUdeviceptr memory;
    void *parameters[] = {&memory, &length};
    make_context();
    MUST(cuMemAlloc_v2(&memory, BYTES));
    CUfunction function = load("add_one");
    MUST(cuMemFree_v2(memory));
    MUST(cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, parameters, NULL));
    printf("synchronised %d\n", (int)cuStreamSynchronize(NULL));
    return 0;
}
