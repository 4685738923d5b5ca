// Modules and launches. A kernel exists when the PTX that was loaded has its entry and the CPU build of the same source, beside
// this library, exports it. The PTX also tells how large each parameter is: a launch copies them, as the driver does.
#include "internal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULES 64
#define FUNCTIONS 512
#define PARAMETERS 32
#define PARAMETER_BYTES 4096 // the driver's limit for all of a kernel's parameters

typedef void launcher(unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void **);

struct module {
    int alive;
    char *ptx;
    struct context *context;
};

struct function {
    int alive;
    struct module *module;
    launcher *run;
    size_t sizes[PARAMETERS], count;
    unsigned shared_limit;
    char name[64];
};

struct launch {
    struct context *context;
    launcher *run;
    unsigned grid[3], block[3];
    void *parameters[PARAMETERS];
    uint64_t storage[PARAMETER_BYTES / sizeof(uint64_t)];
};

static struct module modules[MODULES];
static struct function functions[FUNCTIONS];
static size_t next_module, next_function;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct module *module_of(CUmodule handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)modules;
    struct module *module = (struct module *)handle;
    return offset < sizeof modules && offset % sizeof modules[0] == 0 && module->alive ? module : NULL;
}

static struct function *function_of(CUfunction handle) {
    uintptr_t offset = (uintptr_t)handle - (uintptr_t)functions;
    struct function *function = (struct function *)handle;
    return offset < sizeof functions && offset % sizeof functions[0] == 0 && function->alive ? function : NULL;
}

static CUresult check_ptx(const char *text, int device) {
    const char *target = strstr(text, ".target sm_");
    int major, minor;
    if (!strstr(text, ".version") || !target || !strstr(text, ".address_size 64")) return (CUresult)CUDA_INVALID_PTX;
    CUresult status = cuDeviceComputeCapability(&major, &minor, device);
    if (status) return status;
    return atoi(target + 11) <= major * 10 + minor ? CUDA_SUCCESS : (CUresult)CUDA_NO_BINARY_FOR_GPU;
}

static CUresult load(CUmodule *handle, const void *image) {
    struct context *context;
    CUresult status = enter(&context);
    if (status) return status;
    if (!image || !handle) return (CUresult)CUDA_INVALID_VALUE;
    long code = double_fault("cuda.module", context->device, CUDA_INVALID_PTX);
    if (code) return (CUresult)code;
    if ((status = check_ptx(image, context->device))) return status;
    pthread_mutex_lock(&lock);
    struct module *module = NULL;
    for (size_t i = 0; i < MODULES && !module; i++, next_module = (next_module + 1) % MODULES)
        if (!modules[next_module].alive) module = &modules[next_module];
    if (module) *module = (struct module){1, strdup(image), context};
    pthread_mutex_unlock(&lock);
    *handle = (CUmodule)module;
    return module ? CUDA_SUCCESS : (CUresult)CUDA_OUT_OF_MEMORY;
}

DOUBLE_EXPORT CUresult cuModuleLoadData(CUmodule *handle, const void *image) {
    return load(handle, image);
}

DOUBLE_EXPORT CUresult cuModuleLoadDataEx(CUmodule *handle, const void *image, unsigned count, CUjit_option *options, void **values) {
    (void)count, (void)options, (void)values;
    return load(handle, image);
}

DOUBLE_EXPORT CUresult cuModuleUnload(CUmodule handle) {
    struct module *module = module_of(handle);
    if (!module) return (CUresult)CUDA_INVALID_HANDLE;
    streams_drain(module->context);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < FUNCTIONS; i++)
        if (functions[i].module == module) functions[i].alive = 0;
    free(module->ptx);
    module->alive = 0;
    pthread_mutex_unlock(&lock);
    return CUDA_SUCCESS;
}

static void *kernels;

static void open_kernels(void) {
    Dl_info self;
    char path[4096];
    if (!dladdr((void *)open_kernels, &self)) return;
    const char *slash = strrchr(self.dli_fname, '/');
    snprintf(path, sizeof path, "%.*slibheadend-kernels-cpu.so", slash ? (int)(slash + 1 - self.dli_fname) : 0, self.dli_fname);
    kernels = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!kernels) fprintf(stderr, "double of libcuda: no kernels: %s\n", dlerror());
}

static void *cpu_library(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, open_kernels);
    return kernels;
}

static const char *find_entry(const char *ptx, const char *name) {
    size_t length = strlen(name);
    for (const char *at = ptx; (at = strstr(at, ".entry ")); at++) {
        const char *found = at + 7 + strspn(at + 7, " \t");
        if (!strncmp(found, name, length) && strchr("( \t\n", found[length])) return strchr(found, '(');
    }
    return NULL;
}

static size_t type_bytes(const char *type) {
    size_t bits = (size_t)atoi(type + 1); // .u32, .b8, .f64 ... after their letter
    return bits / 8;
}

// `.param .align 8 .b8 name[64],` or `.param .u64 name,`
static size_t parameter_bytes(const char *declaration, const char *end) {
    const char *align = strstr(declaration, ".align"), *type = declaration + 6;
    if (align && align < end) type = align + 6;
    type = memchr(type, '.', (size_t)(end - type));
    if (!type) return 0;
    const char *array = memchr(type, '[', (size_t)(end - type));
    size_t count = array ? (size_t)atol(array + 1) : 1;
    return count * type_bytes(type + 1);
}

static int read_parameters(struct function *function, const char *list) {
    const char *end = strchr(list, ')');
    size_t total = 0;
    for (const char *at = list; end && (at = strstr(at, ".param")) && at < end; at++) {
        const char *stop = strpbrk(at, ",)");
        if (function->count == PARAMETERS || !stop) return 0;
        size_t bytes = parameter_bytes(at, stop);
        function->sizes[function->count++] = bytes;
        total += (bytes + 7) & ~(size_t)7;
        if (!bytes) return 0;
    }
    return end && total <= PARAMETER_BYTES;
}

DOUBLE_EXPORT CUresult cuModuleGetFunction(CUfunction *handle, CUmodule module_handle, const char *name) {
    struct context *context;
    struct module *module = module_of(module_handle);
    struct function found = {.alive = 1, .module = module, .shared_limit = 49152};
    char symbol[128];
    CUresult status = enter(&context);
    if (status) return status;
    if (!module || !name) return (CUresult)CUDA_INVALID_HANDLE;
    const char *list = find_entry(module->ptx, name);
    if (!list || !read_parameters(&found, list)) return (CUresult)CUDA_NOT_FOUND;
    snprintf(symbol, sizeof symbol, "cpu_launch_%s", name);
    found.run = cpu_library() ? (launcher *)dlsym(cpu_library(), symbol) : NULL;
    if (!found.run) return (CUresult)CUDA_NOT_FOUND;
    snprintf(found.name, sizeof found.name, "%s", name);
    pthread_mutex_lock(&lock);
    struct function *function = NULL;
    for (size_t i = 0; i < FUNCTIONS && !function; i++, next_function = (next_function + 1) % FUNCTIONS)
        if (!functions[next_function].alive) function = &functions[next_function];
    if (function) *function = found;
    pthread_mutex_unlock(&lock);
    *handle = (CUfunction)function;
    return function ? CUDA_SUCCESS : (CUresult)CUDA_OUT_OF_MEMORY;
}

DOUBLE_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name) {
    (void)address, (void)bytes, (void)module, (void)name;
    return (CUresult)CUDA_NOT_FOUND;
}

DOUBLE_EXPORT CUresult cuModuleGetGlobal(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name) {
    return cuModuleGetGlobal_v2(address, bytes, module, name);
}

// Attribute 8: dynamic shared memory a launch may ask for, beyond 48 KiB only when set here; 99 KiB is the limit of capability 8.6.
DOUBLE_EXPORT CUresult cuFuncSetAttribute(CUfunction handle, int attribute, int value) {
    struct function *function = function_of(handle);
    if (!function) return (CUresult)CUDA_INVALID_HANDLE;
    if (attribute != 8) return CUDA_SUCCESS;
    if (value < 0 || value > 101376) return (CUresult)CUDA_INVALID_VALUE;
    function->shared_limit = (unsigned)value;
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuFuncGetAttribute(int *value, int attribute, CUfunction handle) {
    struct function *function = function_of(handle);
    if (!function) return (CUresult)CUDA_INVALID_HANDLE;
    *value = attribute == 0 ? 1024 : attribute == 8 ? (int)function->shared_limit : 0; // 0: threads per block
    return CUDA_SUCCESS;
}

static void call_kernel(void *argument) {
    struct launch *launch = argument;
    launch->run(launch->grid[0], launch->grid[1], launch->grid[2], launch->block[0], launch->block[1], launch->block[2],
        launch->parameters);
}

static void run_launch(void *argument, CUresult status) {
    struct launch *launch = argument;
    if (!status && double_fault_at("cuda.illegal_at_launch", launch->context->device))
        double_poison(launch->context->device, (CUresult)CUDA_ILLEGAL_ADDRESS);
    else if (!status && memory_guarded(call_kernel, launch)) {
        double_report("refused illegal address in a kernel");
        double_poison(launch->context->device, (CUresult)CUDA_ILLEGAL_ADDRESS);
    }
    free(launch);
}

static int within_limits(const unsigned *grid, const unsigned *block, unsigned shared, const struct function *function) {
    if (!grid[0] || !grid[1] || !grid[2] || !block[0] || !block[1] || !block[2]) return 0;
    if (grid[0] > 2147483647u || grid[1] > 65535 || grid[2] > 65535) return 0;
    if (block[0] > 1024 || block[1] > 1024 || block[2] > 64 || block[0] * block[1] * block[2] > 1024) return 0;
    return shared <= function->shared_limit;
}

static void copy_parameters(struct launch *launch, const struct function *function, void **parameters) {
    size_t slot = 0;
    for (size_t i = 0; i < function->count; i++) {
        launch->parameters[i] = &launch->storage[slot];
        memcpy(launch->parameters[i], parameters[i], function->sizes[i]);
        slot += (function->sizes[i] + 7) / 8;
    }
}

static CUresult launch_faults(int device) {
    if (double_fault_at("cuda.ecc_at_launch", device)) double_poison(device, (CUresult)CUDA_ECC_UNCORRECTABLE);
    long code = double_fault("cuda.launch", device, CUDA_LAUNCH_FAILED);
    if (code) double_poison(device, (CUresult)code);
    return CUDA_SUCCESS;
}

DOUBLE_EXPORT CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
    unsigned block_y,
                                      unsigned block_z, unsigned shared, CUstream stream_handle, void **parameters, void **extra) {
    struct context *context;
    struct stream *stream;
    struct function *function = function_of(handle);
    CUresult status = enter(&context);
    if (!status) status = stream_of(context, stream_handle, &stream);
    if (status) return status;
    if (!function) return (CUresult)CUDA_INVALID_HANDLE;
    struct launch *launch = calloc(1, sizeof *launch);
    *launch = (struct launch){.context = context, .run = function->run, .grid = {grid_x, grid_y, grid_z}, .block = {block_x, block_y,
        block_z}};
    if (extra || (function->count && !parameters) || !within_limits(launch->grid, launch->block, shared, function)) {
        free(launch);
        return (CUresult)CUDA_INVALID_VALUE;
    }
    launch_faults(context->device);
    if ((status = context_error(context))) {
        free(launch);
        return status;
    }
    copy_parameters(launch, function, parameters);
    double_count(COUNT_launches, 1);
    stream_submit(stream, run_launch, launch, NULL, 0);
    return CUDA_SUCCESS;
}

PROTOTYPE(cuModuleLoadData);
PROTOTYPE(cuModuleUnload);
PROTOTYPE(cuModuleGetFunction);
PROTOTYPE(cuModuleGetGlobal);
PROTOTYPE(cuLaunchKernel);
