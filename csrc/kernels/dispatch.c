/* dispatch.c - the one file that knows processors: which variants there are, which of them this
 * machine can execute, and the floating-point control word. */
#include "kernels/caches.h"
#include "kernels/kernels.h"

#if defined(__x86_64__) || defined(_M_X64)
#define X86_64 1
#include <immintrin.h>
#if defined(__GNUC__) || defined(__clang__)
#include <cpuid.h>
#endif
#endif

#if defined(DELTALOOP_HAVE_AVX2) || defined(DELTALOOP_HAVE_AVX512)
/* CPUID says what the processor has (bits of leaf 1 ECX and leaf 7 EBX), XCR0 whether the operating
 * system saves the registers. */
static int has(unsigned leaf1, unsigned leaf7, unsigned xcr0)
{
    unsigned a, b, c, d, low, high;
    const unsigned osxsave = 1u << 27;
    leaf1 |= osxsave;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1) != leaf1)
        return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & xcr0) == xcr0 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & leaf7) == leaf7;
}
#define FMA_AVX (1u << 12 | 1u << 28)
#define AVX2 (1u << 5)
#define AVX512_F_DQ_BW_VL (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31)
#endif

#if defined(DELTALOOP_HAVE_AVX2)
static int has_avx2(void) { return has(FMA_AVX, AVX2, 0x6); }
#endif
#if defined(DELTALOOP_HAVE_AVX512)
static int has_avx512(void) { return has(FMA_AVX, AVX2 | AVX512_F_DQ_BW_VL, 0xe6); }
#endif

static int always(void) { return 1; }

/* Best first. */
static const struct {
    const struct mlp_kernels *kernels;
    int (*supported)(void);
} VARIANTS[] = {
#if defined(DELTALOOP_HAVE_NEON)
    {&mlp_kernels_neon, always},
#endif
#if defined(DELTALOOP_HAVE_AVX512)
    {&mlp_kernels_avx512, has_avx512},
#endif
#if defined(DELTALOOP_HAVE_AVX2)
    {&mlp_kernels_avx2, has_avx2},
#endif
    {&mlp_kernels_base, always},
};

#define N_VARIANTS (sizeof VARIANTS / sizeof VARIANTS[0])

/* Who has a table of kernels has the sizes of the caches that they go by. */
const struct mlp_kernels *mlp_isa(size_t i)
{
    mlp_caches_find();
    return i < N_VARIANTS ? VARIANTS[i].kernels : NULL;
}

const char *mlp_isa_name(const struct mlp_kernels *kernels) { return kernels->name; }

int mlp_isa_supported(const struct mlp_kernels *kernels)
{
    for (size_t i = 0; i < N_VARIANTS; i++) {
        if (VARIANTS[i].kernels == kernels)
            return VARIANTS[i].supported();
    }
    return 0;
}

const struct mlp_kernels *mlp_isa_best(void)
{
    size_t i = 0;
    mlp_caches_find();
    while (!VARIANTS[i].supported())
        i++;
    return VARIANTS[i].kernels;
}

void mlp_vector_math(const struct mlp_kernels *kernels, enum mlp_function f, size_t n,
                     const double *x, double *y)
{
    const uint64_t saved = mlp_fp_enter();
    kernels->vector_math(f, n, x, y);
    mlp_fp_leave(saved);
}

void mlp_pause(void)
{
#if defined(X86_64)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#if defined(X86_64)
/* MXCSR: all exceptions masked, round to nearest, no FTZ (bit 15), no DAZ (bit 6). */
uint64_t mlp_fp_enter(void)
{
    const unsigned saved = _mm_getcsr();
    if ((saved & ~0x3fu) != 0x1f80u)
        _mm_setcsr(0x1f80u);
    return saved;
}
void mlp_fp_leave(uint64_t saved)
{
    if ((saved & ~0x3fu) != 0x1f80u)
        _mm_setcsr((unsigned)saved);
}
#elif defined(__aarch64__)
/* FPCR: 0 is round to nearest, no flush to zero, no default NaN, exceptions untrapped. */
uint64_t mlp_fp_enter(void)
{
    uint64_t saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    if (saved != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)0) : "memory");
    return saved;
}
void mlp_fp_leave(uint64_t saved)
{
    if (saved != 0)
        __asm__ volatile("msr fpcr, %0" : : "r"(saved) : "memory");
}
#else
#include <fenv.h>
uint64_t mlp_fp_enter(void)
{
    const int saved = fegetround();
    fesetround(FE_TONEAREST);
    return (uint64_t)saved;
}
void mlp_fp_leave(uint64_t saved) { fesetround((int)saved); }
#endif
