"""How the file computes a b + c: rounded once, whatever the processor has, or twice.

The software fma is exact for every input: the product of two significands has 106 bits and is kept
whole, in 128 bits beside the third number, whose bits below them are remembered as one bit that is
not 0. The sum is then rounded once, to nearest, ties to even. (Where it cancels more than one bit,
no bit has been dropped: then the numbers are so near to each other that both lie in the 128 bits.)
It was compared with a processor's for 200 million triples, many of them chosen to be subnormal, to
overflow or to cancel, without a difference (tests/c_export/test_fma.py, which a shorter run of is a
test). On a Zen 4 it takes 12 ns where the processor's takes 0.8; on Cortex-M it is 1.4 KB of code.
"""

from __future__ import annotations

from deltaloop._c.texts import Names, paragraphs

_GUARDS = """
#if defined(__FAST_MATH__)
#error "this file needs IEEE 754 arithmetic: compile it without -ffast-math"
#endif
#if defined(__FLT_EVAL_METHOD__)
?float64 #if __FLT_EVAL_METHOD__ == 2
?float32 #if __FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2
#error "arithmetic must be in the type itself: -msse2 -mfpmath=sse, or -fexcess-precision=fast"
#endif
#endif

/* A product and a sum are two roundings: no compiler may make one of them. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

/* GCC 12 makes one operation of a product and a constant, where of two such constants one is
 * negative, whatever it is told: it must not see that they are constants. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define @@HIDDEN(pointer) __asm__("" : "+r"(pointer));
#else
#define @@HIDDEN(pointer)
#endif
"""

_PLAIN = """
#define @@INLINE static inline

/* Without fused multiply-add: a product and a sum, each rounded. */
#define @@FMA(a, b, c) @@SUM((a) * (b), (c))
"""

# The library keeps 32 bits behind the larger number, and shifts the result by one bit if it falls
# below the larger number's power of two, as 1 - 1e-10 does. Where the exponents are 33 apart it
# then rounds down what is above a half (libgcc of GCC 12, in half of such differences). The smaller
# number's upper bits, subtracted first, give an exact result. The rest is too small for the shift.
_SUMS = """
?float64 #if defined(DELTALOOP_SOFT_SUMS) || \\
?float64     (defined(__arm__) && !(defined(__ARM_FP) && (__ARM_FP & 8)))
?float64 /* GCC's library for doubles on such processors rounds some differences wrongly, such as
?float64  * 1 - 1.5e-10: SUM and DIFF take them in two steps. */
?float64 static int @exponent(uint64_t u)
?float64 {
?float64     const int e = (int)((u >> 52) & 2047u);
?float64     return e + (e == 0 ? 1 : 0); /* subnormal */
?float64 }
?float64
?float64 static double @sum(double a, double b)
?float64 {
?float64     const uint64_t bits = 0xfffffffffffffu;
?float64     uint64_t u, v, n;
?float64     double larger = a, smaller = b, upper;
?float64     int apart;
?float64     (void)memcpy(&u, &a, sizeof u);
?float64     (void)memcpy(&v, &b, sizeof v);
?float64     apart = @exponent(u) - @exponent(v);
?float64     if (apart == -33) {
?float64         n = u;
?float64         u = v;
?float64         v = n;
?float64         larger = b;
?float64         smaller = a;
?float64         apart = 33;
?float64     }
?float64     n = (v & bits) + ((uint64_t)((v << 1) >> 53 != 0) << 52);
?float64     if (apart != 33 || ((u ^ v) >> 63) == 0 || (u & bits) >= (n >> 33) + 1u) {
?float64         return a + b;
?float64     }
?float64     if ((n >> 32) == 0) { /* subnormal, and nothing is above the half */
?float64         u -= n > 0x80000000u ? 1u : 0u;
?float64         (void)memcpy(&upper, &u, sizeof upper);
?float64         return upper;
?float64     }
?float64     v &= 0xffffffff00000000u;
?float64     (void)memcpy(&upper, &v, sizeof upper);
?float64     return (larger + upper) + (smaller - upper);
?float64 }
?float64 #define @@SUM(a, b) @sum((a), (b))
?float64 #define @@DIFF(a, b) @sum((a), -(b))
?float64 #else
#define @@SUM(a, b) ((a) + (b))
#define @@DIFF(a, b) ((a) - (b))
?float64 #endif
"""

_HARD = """
/* fma(a, b, c) = a b + c is rounded once. HARD: the processor does it. Where that shows only at run
 * time, on x86-64, there are two copies of each function, made from the same text; DISPATCH. */
#if defined(DELTALOOP_SOFT_FMA)
#define @@HARD 0
#elif defined(__FMA__) || defined(__FP_FAST_FMA) || defined(__aarch64__) || \\
    defined(__s390x__) || defined(__powerpc64__) || \\
    (defined(__riscv_flen) && __riscv_flen >= 64) || \\
    (defined(__ARM_FEATURE_FMA) && defined(__ARM_FP) && (__ARM_FP & 8))
#define @@HARD 1
#elif defined(__x86_64__) && defined(__GNUC__) && defined(__OPTIMIZE__) && \\
    !defined(DELTALOOP_NO_DISPATCH)
#define @@DISPATCH
#else
#define @@HARD 0
#endif

#if defined(@@DISPATCH)
#define @@INLINE static inline __attribute__((always_inline))
#define @@APART static __attribute__((noinline))
#define @@TARGET __attribute__((target("avx2,fma")))
#define @@ONLY const int hard
#define @@FIRST const int hard,
#define @@HANDED hard
#define @@HANDED_ON hard,
#else
#define @@INLINE static inline
#define @@APART static
#define @@ONLY void
#define @@FIRST
#define @@HANDED
#define @@HANDED_ON
#endif
"""

# In the order of the branches: nothing to round but x y; z decides; the exact sum.
_SOFT = """
#if defined(@@DISPATCH) || !@@HARD
/* A number of 128 bits. */
struct @wide {
    uint64_t high, low;
};

/* x 2^-n, and 1 in the last bit if a bit was lost. */
static struct @wide @shifted(struct @wide x, int n)
{
    struct @wide y = {0, 0};
    uint64_t lost = 0;
    if (n == 0) {
        return x;
    }
    if (n >= 128) {
        lost = x.high | x.low;
    } else if (n > 64) {
        lost = x.low | (x.high << (128 - n));
        y.low = x.high >> (n - 64);
    } else if (n == 64) {
        lost = x.low;
        y.low = x.high;
    } else {
        lost = x.low << (64 - n);
        y.low = (x.low >> n) | (x.high << (64 - n));
        y.high = x.high >> n;
    }
    y.low |= lost != 0u ? 1u : 0u;
    return y;
}

/* |x| = m 2^e for x that is not 0, 2^52 <= m < 2^53. */
static uint64_t @significand(double x, int *e)
{
    uint64_t u = @bits(x) & 0x7fffffffffffffffu;
    int below = 1075;
    if ((u >> 52) == 0) {
        u = @bits(x * 18014398509481984.0) & 0x7fffffffffffffffu;
        below += 54;
    }
    *e = (int)(u >> 52) - below;
    return (u & 0xfffffffffffffu) | 0x10000000000000u;
}

/* number 2^exponent, rounded, for a number above 0. */
static double @rounded(struct @wide number, int exponent, uint64_t sign)
{
    struct @wide s = number, t;
    uint64_t m, last, u;
    int e = exponent, n = 75, step; /* n bits behind a significand of 53 */
    if (s.high == 0) {
        s.high = s.low;
        s.low = 0;
        e -= 64;
    }
    for (step = 32; step > 0; step /= 2) {
        if ((s.high >> (64 - step)) == 0) {
            s.high = (s.high << step) | (s.low >> (64 - step));
            s.low <<= step;
            e -= step;
        }
    }
    if (e + n < -1074) { /* the result is subnormal: it has fewer bits */
        n = -1074 - e;
    }
    t = @shifted(s, n - 2); /* the significand, and two bits behind it */
    m = t.low >> 2;
    last = t.low & 3u;
    m += last == 3u || (last == 2u && (m & 1u) != 0u) ? 1u : 0u;
    step = e + n + 1074; /* the exponent of the result, as it is stored */
    if (step >= 2046) {
        u = 0x7ff0000000000000u;
    } else {
        u = ((uint64_t)step << 52) + m;
    }
    return @real(u | sign);
}

/* x y + z, rounded once. */
static double @soft_fma(double x, double y, double z)
{
    const uint64_t infinite = 0x7ff0000000000000u, top = 0x8000000000000000u, all = top - 1u;
    const uint64_t ux = @bits(x) & all, uy = @bits(y) & all, uz = @bits(z) & all;
    const uint64_t sign = (@bits(x) ^ @bits(y)) & top, z_sign = @bits(z) & top;
    int ex, ey, ez, e, d;
    uint64_t mx, my, a, b, c, middle;
    struct @wide p, q, s;
    if (ux == 0 || uy == 0 || ux >= infinite || uy >= infinite) {
        return x * y + z;
    }
    if (uz >= infinite) {
        return z + z;
    }
    if (uz == 0) {
        return x * y;
    }
    mx = @significand(x, &ex) << 1;
    my = @significand(y, &ey) << 1;
    q.high = 0;
    q.low = @significand(z, &ez);
    /* p = mx my, by halves of them */
    a = (mx >> 32) * (my & 0xffffffffu);
    b = (mx & 0xffffffffu) * (my >> 32);
    c = (mx & 0xffffffffu) * (my & 0xffffffffu);
    middle = (c >> 32) + (a & 0xffffffffu) + (b & 0xffffffffu);
    p.high = (mx >> 32) * (my >> 32) + (a >> 32) + (b >> 32) + (middle >> 32);
    p.low = (middle << 32) | (c & 0xffffffffu);
    e = ex + ey - 2;
    d = ez - e;
    /* |x y| = p 2^e and |z| = q 2^(e + d): the same exponent for both, at most 2^125 */
    if (d > 72) {
        p = @shifted(p, d - 72);
        e += d - 72;
        d = 72;
    }
    if (d < 0) {
        q = @shifted(q, -d);
    } else if (d >= 64) {
        q.high = q.low << (d - 64);
        q.low = 0;
    } else if (d > 0) {
        q.high = q.low >> (64 - d);
        q.low <<= d;
    } else {
        /* the exponents are equal */
    }
    if (sign == z_sign) {
        s.low = p.low + q.low;
        s.high = p.high + q.high + (s.low < p.low ? 1u : 0u);
        return @rounded(s, e, sign);
    }
    if (p.high == q.high && p.low == q.low) {
        return 0.0;
    }
    if (p.high > q.high || (p.high == q.high && p.low > q.low)) {
        s.low = p.low - q.low;
        s.high = p.high - q.high - (p.low < q.low ? 1u : 0u);
        return @rounded(s, e, sign);
    }
    s.low = q.low - p.low;
    s.high = q.high - p.high - (q.low < p.low ? 1u : 0u);
    return @rounded(s, e, z_sign);
}
#endif

#if defined(@@DISPATCH)
#define @@FMA(a, b, c) (hard ? __builtin_fma((a), (b), (c)) : @soft_fma((a), (b), (c)))
#elif @@HARD && defined(__GNUC__)
#define @@FMA(a, b, c) __builtin_fma((a), (b), (c))
#elif @@HARD
#define @@FMA(a, b, c) fma((a), (b), (c))
#else
#define @@FMA(a, b, c) @soft_fma((a), (b), (c))
#endif
"""


def guards(names: Names) -> str:
    """Return what a compiler has to do, or the file refuses it."""
    return names.fill(_GUARDS, names.dtype)


def macros(names: Names, text: str) -> str:
    """Return the macros that the text needs: how functions are declared, FMA, SUM and DIFF.

    A function that nothing calls is a warning of compilers; so SUM is left out where it can be.
    """
    called = ("SUM", "DIFF") if names.split else ("SUM", "DIFF", "FMA")  # _PLAIN has a SUM in FMA
    used = any(names.fill(f"@@{macro}(") in text for macro in called)
    sums = names.fill(_SUMS, names.dtype) if used else ""
    return paragraphs(names.fill(_HARD if names.split else _PLAIN), sums)


def fma(names: Names) -> str:
    """Return FMA of the class "fma", which needs the functions on bits where it is software."""
    return names.fill(_SOFT) if names.split else ""


def in_software(names: Names, text: str) -> str:
    """Return a text that counts only where FMA is software."""
    return names.fill(f"#if defined(@@DISPATCH) || !@@HARD\n{text}\n#endif")
