/* caches.c - how large the caches are that a core has: asked of the processor (x86-64) or of the system. */
#include "kernels/caches.h"

#include <stdatomic.h>

#if (defined(__x86_64__) || defined(_M_X64)) && (defined(__GNUC__) || defined(__clang__))
#define BY_CPUID 1
#include <cpuid.h>
#elif defined(__APPLE__)
#define BY_SYSCTL 1
#include <sys/sysctl.h>
#elif defined(__linux__)
#define BY_SYSFS 1
#include <stdio.h>
#endif

/* A usual machine: where nothing is told, or what cannot be. */
#define L1 ((size_t)32 << 10)
#define L2 ((size_t)512 << 10)
#define L3 ((size_t)8 << 20)

struct mlp_caches mlp_caches = {L1, L2, L3, 0, 0, 0};

#if defined(BY_CPUID)
/* Leaf 4 of Intel's processors and 0x8000001D of AMD's say the same in the same bits: a cache in each
 * subleaf. One of these calls takes some 20 us in a virtual machine. */
static void ask(size_t sizes[3])
{
    unsigned a, b, c, d, leaf = 4;
    if (__get_cpuid_max(0x80000000u, NULL) >= 0x8000001Du) {
        __cpuid(0x80000001u, a, b, c, d);
        leaf = c & 1u << 22 ? 0x8000001Du : 4; /* "topology extensions" */
    }
    if (leaf == 4 && __get_cpuid_max(0, NULL) < 4)
        return;
    for (unsigned i = 0; i < 8; i++) {
        __cpuid_count(leaf, i, a, b, c, d);
        const unsigned type = a & 31, level = a >> 5 & 7, threads = (a >> 14 & 0xfff) + 1;
        if (type == 0)
            return;
        if (type == 2 || level < 1 || level > 3) /* instructions */
            continue;
        const size_t size =
            (size_t)((b >> 22) + 1) * ((b >> 12 & 0x3ff) + 1) * ((b & 0xfff) + 1) * ((size_t)c + 1);
        /* A core has one thread or two; the last level belongs to whoever needs it. */
        const size_t cores = level == 2 && threads > 2 ? threads / 2 : 1;
        sizes[level - 1] = size / cores;
    }
}
#elif defined(BY_SYSCTL)
static size_t sysctl_of(const char *fast, const char *any)
{
    unsigned long long value = 0;
    size_t length = sizeof value;
    if (sysctlbyname(fast, &value, &length, NULL, 0) != 0) {
        length = sizeof value;
        if (sysctlbyname(any, &value, &length, NULL, 0) != 0)
            return 0;
    }
    return (size_t)value;
}
static void ask(size_t sizes[3])
{
    unsigned long long cores = 0;
    size_t length = sizeof cores;
    sizes[0] = sysctl_of("hw.perflevel0.l1dcachesize", "hw.l1dcachesize");
    sizes[1] = sysctl_of("hw.perflevel0.l2cachesize", "hw.l2cachesize");
    sizes[2] = sysctl_of("hw.perflevel0.l3cachesize", "hw.l3cachesize");
    if (sysctlbyname("hw.perflevel0.cpusperl2", &cores, &length, NULL, 0) == 0 && cores > 0) {
        if (sizes[2] == 0)
            sizes[2] = sizes[1]; /* the last level */
        sizes[1] /= (size_t)cores;
    }
}
#elif defined(BY_SYSFS)
static int read_text(unsigned index, const char *name, char text[32])
{
    char path[96];
    size_t n = 0;
    const char *parts[3] = {"/sys/devices/system/cpu/cpu0/cache/index", NULL, name};
    const char digit[3] = {(char)('0' + index), '/', 0};
    parts[1] = digit;
    for (size_t i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p; p++)
            path[n++] = *p;
    }
    path[n] = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    const int found = fgets(text, 32, file) != NULL;
    fclose(file);
    return found;
}
/* The number at the start of a text; K and M behind it. */
static size_t number(const char *p)
{
    size_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++)
        n = 10 * n + (size_t)(*p - '0');
    return *p == 'K' ? n << 10 : *p == 'M' ? n << 20 : n;
}
static void ask(size_t sizes[3])
{
    char text[32];
    for (unsigned i = 0; i < 8; i++) {
        if (!read_text(i, "type", text) || text[0] == 'I')
            continue;
        const size_t level = read_text(i, "level", text) ? number(text) : 0;
        if (level >= 1 && level <= 3 && read_text(i, "size", text))
            sizes[level - 1] = number(text);
    }
}
#else
static void ask(size_t sizes[3]) { (void)sizes; }
#endif

/* What lies outside these limits is no size of a cache, and the usual one is kept. */
static size_t sensible(size_t size, size_t least, size_t most, size_t usual)
{
    return size >= least && size <= most ? size : usual;
}

void mlp_caches_find(void)
{
    static atomic_int state; /* 0: not asked; 1: somebody is asking; 2: known */
    int expected = 0;
    if (atomic_load_explicit(&state, memory_order_acquire) == 2)
        return;
    if (!atomic_compare_exchange_strong(&state, &expected, 1)) {
        while (atomic_load_explicit(&state, memory_order_acquire) != 2) {
        }
        return;
    }
    size_t sizes[3] = {0, 0, 0};
    ask(sizes);
    mlp_caches.l1 = sensible(sizes[0], (size_t)8 << 10, (size_t)1 << 20, L1);
    mlp_caches.l2 = sensible(sizes[1], (size_t)128 << 10, (size_t)64 << 20, L2);
    mlp_caches.l3 = sensible(sizes[2], (size_t)1 << 20, (size_t)4 << 30, L3);
    atomic_store_explicit(&state, 2, memory_order_release);
}
