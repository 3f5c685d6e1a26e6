// What the machine can do at best, per instruction set: multiply-adds, loads, a sigmoid, Adam's
// update, a barrier.
//
// machine.py compiles this file when it is needed, with FMA contraction, and times the functions by
// their number of repetitions. Each exists once per instruction set, with the suffix that
// deltaloop's runtime() gives the set. None is deltaloop's code: these are bounds.

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PAUSE _mm_pause()
#elif defined(__aarch64__)
#define PAUSE __asm__ volatile("yield")
#else
#define PAUSE (void)0
#endif

// Taylor's coefficients 1/k!, for exp(r), abs(r) <= ln(2) / 2. The minimax polynomial of degree 11,
// wrong by 2^-58 at most where that of degree 10 is by 2^-52, costs the same.
#define C(k) (1.0 / k)

// BYTES: of a vector. N is the number of its doubles.
// SQRT: its instruction for square roots.
#define FUNCTIONS(ISA, TARGET, BYTES, SQRT)                                                        \
    typedef double v_##ISA __attribute__((vector_size(BYTES), aligned(8)));                        \
    typedef int64_t i_##ISA __attribute__((vector_size(BYTES), aligned(8)));                       \
                                                                                                   \
    /* 12 chains, as two units with a latency of at most 6 take: 24 N FLOP a round. */             \
    TARGET double fma_##ISA(ptrdiff_t n)                                                           \
    {                                                                                              \
        v_##ISA a[12], m = (v_##ISA){0} + 0.999, c = (v_##ISA){0} + 0.001;                         \
        for (int k = 0; k < 12; k++)                                                               \
            a[k] = (v_##ISA){0} + k;                                                               \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            _Pragma("GCC unroll 12") for (int k = 0; k < 12; k++) a[k] = a[k] * m + c;             \
        }                                                                                          \
        for (int k = 1; k < 12; k++)                                                               \
            a[0] += a[k];                                                                          \
        return a[0][0];                                                                            \
    }                                                                                              \
                                                                                                   \
    /* One chain of n. */                                                                          \
    TARGET double fma_latency_##ISA(ptrdiff_t n)                                                   \
    {                                                                                              \
        double a = 1.0, m = 0.999, c = 0.001;                                                      \
        __asm__ volatile("" : "+m"(m), "+m"(c));                                                   \
        for (ptrdiff_t i = 0; i < n; i++)                                                          \
            a = a * m + c;                                                                         \
        return a;                                                                                  \
    }                                                                                              \
                                                                                                   \
    /* Adds up `size` doubles, n times over; size is a multiple of 8 N. */                         \
    TARGET double load_##ISA(ptrdiff_t n, const double *x, ptrdiff_t size)                         \
    {                                                                                              \
        enum { N = BYTES / 8 };                                                                    \
        v_##ISA a[8] = {{0}};                                                                      \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            for (ptrdiff_t j = 0; j < size; j += 8 * N) {                                          \
                _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++)                                \
                {                                                                                  \
                    a[k] += *(const v_##ISA *)(x + j + k * N);                                     \
                }                                                                                  \
            }                                                                                      \
            __asm__ volatile("" ::: "memory");                                                     \
        }                                                                                          \
        for (int k = 1; k < 8; k++)                                                                \
            a[0] += a[k];                                                                          \
        return a[0][0];                                                                            \
    }                                                                                              \
                                                                                                   \
    /* 1 / (1 + exp(-z)), -z = k ln 2 + r, for z whose exp neither over- nor underflows. */        \
    TARGET static inline v_##ISA sigmoid_of_##ISA(v_##ISA z)                                       \
    {                                                                                              \
        const double magic = 0x1.8p52;                                                             \
        v_##ISA t = z * -0x1.71547652b82fep0 + magic, k = t - magic;                               \
        v_##ISA r = -z - k * 0x1.62e42fefa39efp-1;                                                 \
        r = r - k * 0x1.abc9e3b39803fp-56;                                                         \
        v_##ISA r2 = r * r, r4 = r2 * r2, r8 = r4 * r4;                                            \
        v_##ISA p01 = r + 1.0, p23 = r * C(6) + C(2), p45 = r * C(120) + C(24);                    \
        v_##ISA p67 = r * C(5040) + C(720), p89 = r * C(362880) + C(40320);                        \
        v_##ISA pab = r * C(39916800) + C(3628800);                                                \
        v_##ISA low = p23 * r2 + p01, middle = p67 * r2 + p45, high = pab * r2 + p89;              \
        v_##ISA p = high * r8 + (middle * r4 + low);                                               \
        v_##ISA e = (v_##ISA)((i_##ISA)p + ((i_##ISA)t << 52));                                    \
        return 1.0 / (1.0 + e);                                                                    \
    }                                                                                              \
                                                                                                   \
    /* Of `size` doubles, a multiple of N, in place, n times over. */                              \
    TARGET double sigmoid_##ISA(ptrdiff_t n, double *x, ptrdiff_t size)                            \
    {                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            for (ptrdiff_t j = 0; j < size; j += BYTES / 8) {                                      \
                v_##ISA *at = (v_##ISA *)(x + j);                                                  \
                *at = sigmoid_of_##ISA(*at);                                                       \
            }                                                                                      \
        }                                                                                          \
        return x[0];                                                                               \
    }                                                                                              \
                                                                                                   \
    /* One chain of n. */                                                                          \
    TARGET double sigmoid_latency_##ISA(ptrdiff_t n)                                               \
    {                                                                                              \
        v_##ISA a = {0};                                                                           \
        for (ptrdiff_t i = 0; i < n; i++)                                                          \
            a = sigmoid_of_##ISA(a);                                                               \
        return a[0];                                                                               \
    }                                                                                              \
                                                                                                   \
    /* Adam's update of `size` / 4 parameters: x is w, m, v and g, each a multiple of N long. */   \
    TARGET double adam_##ISA(ptrdiff_t n, double *x, ptrdiff_t size)                               \
    {                                                                                              \
        const ptrdiff_t P = size / 4;                                                              \
        for (ptrdiff_t i = 0; i < n; i++) {                                                        \
            for (ptrdiff_t j = 0; j < P; j += BYTES / 8) {                                         \
                v_##ISA *w = (v_##ISA *)(x + j), *m = (v_##ISA *)(x + P + j);                      \
                v_##ISA *v = (v_##ISA *)(x + 2 * P + j), g = *(v_##ISA *)(x + 3 * P + j);          \
                *m = *m * 0.9 + g * 0.1;                                                           \
                *v = *v * 0.999 + g * (g * 0.001);                                                 \
                *w -= *m * 1e-9 / (v_##ISA)(SQRT(*v) * 1.001 + 1e-8);                              \
            }                                                                                      \
        }                                                                                          \
        return x[0];                                                                               \
    }

#if defined(__x86_64__)
FUNCTIONS(base, , 16, _mm_sqrt_pd)
FUNCTIONS(avx2, __attribute__((target("avx2,fma"))), 32, _mm256_sqrt_pd)
FUNCTIONS(avx512, __attribute__((target("avx512f,avx512dq,fma"))), 64, _mm512_sqrt_pd)
#else
#define SQRT_2(v) ((__typeof__(v)){__builtin_sqrt((v)[0]), __builtin_sqrt((v)[1])})
FUNCTIONS(base, , 16, SQRT_2)
FUNCTIONS(neon, , 16, SQRT_2)
#endif

// ---- a barrier of two threads ----

static _Atomic ptrdiff_t arrived, rounds;

static void barrier(ptrdiff_t threads)
{
    const ptrdiff_t round = atomic_load_explicit(&rounds, memory_order_acquire);
    if (atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel) == threads - 1) {
        atomic_store_explicit(&arrived, 0, memory_order_relaxed);
        atomic_store_explicit(&rounds, round + 1, memory_order_release);
    } else {
        while (atomic_load_explicit(&rounds, memory_order_acquire) == round)
            PAUSE;
    }
}

static void *other_thread(void *n)
{
    for (ptrdiff_t i = *(ptrdiff_t *)n; i > 0; i--)
        barrier(2);
    return NULL;
}

// n barriers of two threads, which spin, after the thread has started; returns 0 if it could not.
double barriers(ptrdiff_t n)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, other_thread, &n) != 0)
        return 0.0;
    for (ptrdiff_t i = 0; i < n; i++)
        barrier(2);
    pthread_join(thread, NULL);
    return 1.0;
}

// ---- whether two threads share a core ----

#include <stdlib.h>
#include <time.h>

enum { SHARINGS = 41 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

// Seconds of n rounds of multiply-adds, the median of many, while another thread does the same. Alone
// when `several` is 0.
#define SHARING(ISA)                                                                               \
    static _Atomic int running_##ISA, begun_##ISA;                                                 \
    static _Atomic double sink_##ISA;                                                              \
    static void *run_##ISA(void *n)                                                                \
    {                                                                                              \
        while (running_##ISA) {                                                                    \
            begun_##ISA = 1;                                                                       \
            sink_##ISA = fma_##ISA(*(ptrdiff_t *)n);                                               \
        }                                                                                          \
        return NULL;                                                                               \
    }                                                                                              \
    double sharing_##ISA(ptrdiff_t n, ptrdiff_t several)                                           \
    {                                                                                              \
        double took[SHARINGS];                                                                     \
        pthread_t thread;                                                                          \
        running_##ISA = 1;                                                                         \
        begun_##ISA = 0;                                                                           \
        if (several && pthread_create(&thread, NULL, run_##ISA, &n) != 0)                          \
            return 0.0;                                                                            \
        const double start = seconds();                                                            \
        while (several && !begun_##ISA && seconds() < start + 2e-3)                                \
            PAUSE;                                                                                 \
        for (int i = 0; i < SHARINGS; i++) {                                                       \
            const double before = seconds();                                                       \
            sink_##ISA = fma_##ISA(n);                                                             \
            took[i] = seconds() - before;                                                          \
        }                                                                                          \
        running_##ISA = 0;                                                                         \
        if (several)                                                                               \
            pthread_join(thread, NULL);                                                            \
        qsort(took, SHARINGS, sizeof *took, ascending);                                            \
        return took[SHARINGS / 2];                                                                 \
    }

#if defined(__x86_64__)
SHARING(base)
SHARING(avx2)
SHARING(avx512)
#else
SHARING(base)
SHARING(neon)
#endif
