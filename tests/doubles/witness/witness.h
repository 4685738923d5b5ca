// A small client of the doubles, for what no ffmpeg asks of them. Each story prints its result; the Rust tests judge it.
#pragma once
#include <ffnvcodec/dynlink_cuda.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern tcuInit cuInit;
extern tcuCtxCreate_v2 cuCtxCreate_v2;
extern tcuMemAlloc_v2 cuMemAlloc_v2;
extern tcuMemFree_v2 cuMemFree_v2;
extern tcuMemcpyHtoD_v2 cuMemcpyHtoD_v2;
extern tcuMemcpyHtoDAsync_v2 cuMemcpyHtoDAsync_v2;
extern tcuMemcpyDtoH_v2 cuMemcpyDtoH_v2;
extern tcuMemcpyDtoHAsync_v2 cuMemcpyDtoHAsync_v2;
extern tcuMemsetD8Async cuMemsetD8Async;
extern tcuStreamCreate cuStreamCreate;
extern tcuStreamSynchronize cuStreamSynchronize;
extern tcuEventCreate cuEventCreate;
extern tcuEventRecord cuEventRecord;
extern tcuModuleLoadData cuModuleLoadData;
extern tcuModuleGetFunction cuModuleGetFunction;
extern tcuLaunchKernel cuLaunchKernel;
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned flags);

// Ends the program where a call fails that no story expects to fail.
#define MUST(call)                                                                                                             \
    do {                                                                                                                       \
        int status_ = (int)(call);                                                                                             \
        if (status_) {                                                                                                         \
            fprintf(stderr, "%s: %d\n", #call, status_);                                                                       \
            exit(2);                                                                                                           \
        }                                                                                                                      \
    } while (0)

CUcontext make_context(void);
int tell_host_read(void);
int tell_freed(void);
int tell_unsynchronised(void);
int tell_kernel(void);
int tell_stray_kernel(void);
int tell_decode(char **arguments);
int tell_encode(char **arguments);
int tell_hold(void);
