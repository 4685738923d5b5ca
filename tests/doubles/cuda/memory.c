// Device memory: one file in memory, mapped twice. Clients get addresses of the mapping that nobody may touch, so that a host
// dereference faults as it would with a real device; the double works through the alias. Every block is followed by a page that
// belongs to nothing.
//
// A kernel must use the client's own addresses, which lie in its tables. Where the CPU has protection keys, the threads that run
// kernels open the memory for themselves alone. Elsewhere the live blocks are opened by mprotect for the time of a launch, for
// the whole process: a host dereference in that window goes unnoticed. Freed blocks stay shut, so that a kernel's use after free
// is always caught.
#include "internal.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA_BYTES (32ULL << 30)
#define PAGE 4096ULL
#define BLOCKS 4096

struct block {
    uint64_t offset, bytes, span;
    const struct context *owner;
    int device;
    enum block_use use;
};

static char *shut, *alias;
static int arena_fd = -1, key = -1, open_kernels;
static struct block blocks[BLOCKS]; // sorted by offset
static size_t block_count;
static uint64_t cursor; // the next search starts here, so that a freed address is not handed out at once
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction earlier;
static __thread sigjmp_buf *kernel_escape;

int memory_is_device(uint64_t address) {
    return shut && address - (uint64_t)shut < ARENA_BYTES;
}

static void on_fault(int number, siginfo_t *info, void *machine) {
    uint64_t address = (uint64_t)info->si_addr;
    if (kernel_escape) siglongjmp(*kernel_escape, 1);
    if (memory_is_device(address)) double_report_host_access(address);
    if ((earlier.sa_flags & SA_SIGINFO) && earlier.sa_sigaction)
        earlier.sa_sigaction(number, info, machine);
    else
        sigaction(number, &earlier, NULL); // the access is tried again and ends the process
}

static void watch_faults(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, &earlier);
}

CUresult memory_init(void) {
    arena_fd = memfd_create("headend-double-device", MFD_CLOEXEC);
    if (arena_fd < 0 || ftruncate(arena_fd, (off_t)ARENA_BYTES) != 0) return (CUresult)CUDA_OUT_OF_MEMORY;
    shut = mmap(NULL, ARENA_BYTES, PROT_NONE, MAP_SHARED | MAP_NORESERVE, arena_fd, 0);
    alias = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena_fd, 0);
    if (shut == MAP_FAILED || alias == MAP_FAILED) {
        shut = NULL;
        return (CUresult)CUDA_OUT_OF_MEMORY;
    }
    key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    watch_faults();
    return CUDA_SUCCESS;
}

void *double_alias(CUdeviceptr address) {
    return memory_is_device(address) ? alias + (address - (uint64_t)shut) : (void *)address;
}

static void block_protect(const struct block *block, int protection) {
    if (key >= 0)
        pkey_mprotect(shut + block->offset, block->span, protection, key);
    else
        mprotect(shut + block->offset, block->span, protection);
}

// The first gap at or after `from` that holds `span` bytes and a page that nobody owns; the index where the block belongs.
static int find_gap(uint64_t from, uint64_t span, uint64_t *offset, size_t *index) {
    uint64_t start = from < PAGE ? PAGE : from;
    size_t i = 0;
    for (; i < block_count; i++) {
        uint64_t end = blocks[i].offset + blocks[i].span + PAGE;
        if (end <= start) continue;
        if (blocks[i].offset >= start + span + PAGE) break;
        start = end;
    }
    *offset = start;
    *index = i;
    return start + span + PAGE <= ARENA_BYTES;
}

static uint64_t used_locked(int device) {
    uint64_t used = 0;
    for (size_t i = 0; i < block_count; i++)
        if (blocks[i].device == device) used += blocks[i].span;
    return used;
}

static uint64_t total_bytes(int device) {
    return (uint64_t)double_setting("cuda.memory_mb", device, 4096) << 20;
}

void memory_used(int device, size_t *used, size_t *total) {
    *total = total_bytes(device);
    pthread_mutex_lock(&lock);
    *used = used_locked(device);
    pthread_mutex_unlock(&lock);
    if (*used > *total) *used = *total;
}

static CUresult insert_block(struct block block, uint64_t limit, uint64_t *offset) {
    size_t index;
    if (block_count == BLOCKS || used_locked(block.device) + block.span > limit) return (CUresult)CUDA_OUT_OF_MEMORY;
    if (!find_gap(cursor, block.span, offset, &index) && !find_gap(0, block.span, offset, &index)) return (CUresult)CUDA_OUT_OF_MEMORY;
    memmove(&blocks[index + 1], &blocks[index], (block_count - index) * sizeof blocks[0]);
    block.offset = *offset;
    blocks[index] = block;
    block_count++;
    cursor = *offset + block.span;
    if (cursor > 4ULL << 30) cursor = 0;
    if (key >= 0 || open_kernels) block_protect(&block, PROT_READ | PROT_WRITE);
    return CUDA_SUCCESS;
}

// Fresh memory holds noise on a real device: a client that counts on zeroes is wrong.
CUresult memory_alloc(struct context *context, size_t bytes, enum block_use use, CUdeviceptr *address) {
    uint64_t offset = 0, limit = total_bytes(context->device);
    if (!bytes || bytes > ARENA_BYTES) return (CUresult)(bytes ? CUDA_OUT_OF_MEMORY : CUDA_INVALID_VALUE);
    struct block block = {.bytes = bytes, .span = (bytes + PAGE - 1) & ~(PAGE - 1), .owner = context, .device = context->device,
        .use = use};
    pthread_mutex_lock(&lock);
    CUresult status = insert_block(block, limit, &offset);
    pthread_mutex_unlock(&lock);
    if (status) return status;
    memset(alias + offset, 0xCD, block.span);
    *address = (CUdeviceptr)(shut + offset);
    if (use != BLOCK_INTERNAL) {
        double_count(COUNT_allocations, 1);
        double_level(LEVEL_blocks, 1);
        double_level(LEVEL_device_bytes, (int64_t)bytes);
    }
    return CUDA_SUCCESS;
}

static void remove_block(size_t index) {
    struct block block = blocks[index];
    block_protect(&block, PROT_NONE);
    fallocate(arena_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)block.offset, (off_t)block.span);
    memmove(&blocks[index], &blocks[index + 1], (block_count - index - 1) * sizeof blocks[0]);
    block_count--;
    if (block.use == BLOCK_INTERNAL) return;
    double_count(COUNT_frees, 1);
    double_level(LEVEL_blocks, -1);
    double_level(LEVEL_device_bytes, -(int64_t)block.bytes);
}

CUresult memory_free(CUdeviceptr address) {
    CUresult status = (CUresult)CUDA_INVALID_VALUE;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < block_count; i++) {
        if (address != (CUdeviceptr)(shut + blocks[i].offset)) continue;
        remove_block(i);
        status = CUDA_SUCCESS;
        break;
    }
    pthread_mutex_unlock(&lock);
    return status;
}

void memory_free_context(const struct context *context) {
    pthread_mutex_lock(&lock);
    for (size_t i = block_count; i-- > 0;)
        if (blocks[i].owner == context) remove_block(i);
    pthread_mutex_unlock(&lock);
}

CUresult double_device_range(CUdeviceptr address, size_t bytes) {
    if (!memory_is_device(address)) return (CUresult)CUDA_INVALID_VALUE;
    uint64_t offset = address - (uint64_t)shut;
    CUresult status = (CUresult)CUDA_ILLEGAL_ADDRESS;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < block_count; i++)
        if (offset >= blocks[i].offset && bytes <= blocks[i].bytes && offset - blocks[i].offset <= blocks[i].bytes - bytes)
            status = CUDA_SUCCESS;
    pthread_mutex_unlock(&lock);
    return status;
}

CUresult double_device_alloc(CUcontext context, size_t bytes, CUdeviceptr *address) {
    return memory_alloc((struct context *)context, bytes, BLOCK_INTERNAL, address);
}

int double_device_pooled(CUdeviceptr address) {
    int pooled = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < block_count; i++) {
        uint64_t offset = address - (uint64_t)shut;
        if (offset >= blocks[i].offset && offset < blocks[i].offset + blocks[i].bytes) pooled = blocks[i].use == BLOCK_POOLED;
    }
    pthread_mutex_unlock(&lock);
    return pooled;
}

void double_device_free(CUdeviceptr address) {
    memory_free(address);
}

static void protect_all(int protection) {
    for (size_t i = 0; i < block_count; i++) block_protect(&blocks[i], protection);
}

void memory_open_for_kernel(void) {
    if (key >= 0) {
        pkey_set(key, 0);
        return;
    }
    pthread_mutex_lock(&lock);
    if (open_kernels++ == 0) protect_all(PROT_READ | PROT_WRITE);
    pthread_mutex_unlock(&lock);
}

void memory_close_for_kernel(void) {
    if (key >= 0) {
        pkey_set(key, PKEY_DISABLE_ACCESS);
        return;
    }
    pthread_mutex_lock(&lock);
    if (--open_kernels == 0) protect_all(PROT_NONE);
    pthread_mutex_unlock(&lock);
}

CUresult memory_guarded(void (*run)(void *), void *argument) {
    sigjmp_buf escape;
    volatile CUresult status = CUDA_SUCCESS;
    memory_open_for_kernel();
    if (sigsetjmp(escape, 1) == 0) {
        kernel_escape = &escape;
        run(argument);
    } else {
        status = (CUresult)CUDA_ILLEGAL_ADDRESS;
    }
    kernel_escape = NULL;
    memory_close_for_kernel();
    return status;
}
