/* Every operation of simd.h against a scalar one, bit for bit. Compiled once per variant, with
 * KERNELS_FILE the kernels_*.c that defines its vectors. */
#include "check.h"

#define VECTORS_ALONE
#include KERNELS_FILE

static double from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint64_t to_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Any bits, a special value, or one of moderate size. */
static double any_value(void)
{
    static const double special[] = {0.0,       -0.0,       1.0,   -1.0,  0x1p-1074,
                                     0x1p-1022, -0x1p-1022, 1e308, -1e308};
    switch (random_bits() % 8) {
    case 0:
        return from_bits(random_bits());
    case 1:
        return random_bits() % 2 ? INFINITY : -INFINITY;
    case 2:
        return (double)NAN;
    case 3:
    case 4:
        return special[random_bits() % (sizeof special / sizeof *special)];
    default:
        return 8.0 * random_value();
    }
}

static int same(double x, double y) { return to_bits(x) == to_bits(y) || (isnan(x) && isnan(y)); }

/* Element i of x, or of the bits of x. */
static double element(v_f64 x, size_t i)
{
    double t[VL];
    v_store(t, x);
    return t[i];
}
static uint64_t element_bits(v_i64 x, size_t i)
{
    uint64_t t[VL];
    memcpy(t, &x, sizeof t);
    return t[i];
}

static void test_elementwise(void)
{
    const int fused = strcmp(ISA_NAME, "base") != 0;
    double a[VL], b[VL], c[VL];
    for (size_t i = 0; i < VL; i++) {
        a[i] = any_value();
        b[i] = random_bits() % 4 ? any_value() : a[i];
        c[i] = any_value();
    }
    const v_f64 va = v_load(a), vb = v_load(b), vc = v_load(c);
    const v_i64 less = v_lt(va, vb), equal = v_eq(va, vb);
    for (size_t i = 0; i < VL; i++) {
        const uint64_t bits = to_bits(a[i]);
        CHECK(same(element(v_set(a[i]), VL - 1), a[i]) || isnan(a[i]));
        CHECK(element_bits(v_set_bits((int64_t)(bits >> 1)), i) == bits >> 1);
        CHECK(element_bits(v_bits(va), i) == bits);
        CHECK(to_bits(element(v_double(v_bits(va)), i)) == bits);
        CHECK(element_bits(v_shift_right(v_bits(va), 52), i) == bits >> 52);
        CHECK(element_bits(v_shift_left(v_bits(va), 52), i) == bits << 52);
        CHECK(element_bits(less, i) == (a[i] < b[i] ? UINT64_MAX : 0));
        CHECK(element_bits(equal, i) == (a[i] == b[i] ? UINT64_MAX : 0));
        CHECK(to_bits(element(v_select(less, va, vc), i)) == to_bits(a[i] < b[i] ? a[i] : c[i]));
        CHECK(to_bits(element(v_abs(va), i)) == (bits & INT64_MAX));
        CHECK(to_bits(element(v_minus_abs(va), i)) == (bits | ~(uint64_t)INT64_MAX));
        CHECK(same(element(va + vb, i), a[i] + b[i]) && same(element(va - vb, i), a[i] - b[i]));
        CHECK(same(element(va * vb, i), a[i] * b[i]) && same(element(va / vb, i), a[i] / b[i]));
        CHECK(same(element(v_sqrt(va), i), sqrt(a[i])));
        CHECK(same(element(v_fma(va, vb, vc), i),
                   fused ? fma(a[i], b[i], c[i]) : a[i] * b[i] + c[i]));
    }
}

static void test_limits(void)
{
    static const double limits[] = {0.0, 1.0, -1.0, 40.0, -746.0, 710.0};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        const double limit = limits[l];
        double x[VL];
        for (size_t i = 0; i < VL; i++)
            x[i] = random_bits() % 4 ? any_value() : random_bits() % 2 ? limit : 1000.0 * limit;
        for (size_t i = 0; i < VL; i++) {
            CHECK(same(element(v_at_least(v_load(x), limit), i), x[i] < limit ? limit : x[i]));
            CHECK(same(element(v_at_most(v_load(x), limit), i), x[i] > limit ? limit : x[i]));
        }
    }
}

static void test_scale(void)
{
    for (int k = -1080; k <= 1080; k++) {
        double s[VL], t[VL];
        for (size_t i = 0; i < VL; i++) {
            s[i] = ldexp(random_value(), -1 - (int)(random_bits() % 3 * (random_bits() % 30)));
            s[i] = random_bits() % 8 ? s[i] : random_bits() % 4 ? 0.0 : (double)NAN;
            t[i] = ROUNDER + (i ? (int)(random_bits() % 2161) - 1080 : k);
        }
        for (size_t i = 0; i < VL; i++) {
            const int k_i = (int)(t[i] - ROUNDER);
            CHECK(same(element(v_scale(v_load(s), v_load(t)), i), ldexp(1.0 + s[i], k_i)));
            CHECK(element_bits(v_exponent(v_load(t)), i) == (uint64_t)(int64_t)k_i << 52);
        }
    }
}

static void test_memory(void)
{
    for (size_t n = 1; n <= VL; n++) {
        void *base;
        size_t size;
        double *p = guarded(n, &base, &size);
        fill(n, p);
        const v_f64 x = v_load_n(p, n);
        for (size_t i = 0; i < VL; i++)
            CHECK(to_bits(element(x, i)) == to_bits(i < n ? p[i] : 0.0));
        v_store_n(p, n, x + x);
        for (size_t i = 0; i < n; i++)
            CHECK(p[i] == 2.0 * element(x, i));
        release(base, size);
        double t[VL + 1];
        for (size_t i = 0; i <= VL; i++)
            t[i] = -7.0;
        v_store_n(t, n, x);
        for (size_t i = 0; i <= VL; i++)
            CHECK(i < n ? t[i] == element(x, i) : t[i] == -7.0);
    }
    double x[VL][VL];
    v_f64 rows[VL];
    fill((size_t)VL * VL, x[0]);
    for (size_t i = 0; i < VL; i++)
        rows[i] = v_load(x[i]);
    v_transpose(rows);
    for (size_t i = 0; i < VL; i++) {
        for (size_t j = 0; j < VL; j++)
            CHECK(element(rows[i], j) == x[j][i]);
    }
    const v_f64 a = v_load(x[0]), b = v_load(x[VL - 1]);
    v_f64 low, high, even, odd;
    v_zip(a, b, &low, &high);
    v_unzip(low, high, &even, &odd);
    for (size_t i = 0; i < 2 * VL; i++)
        CHECK(element(i < VL ? low : high, i % VL) == x[i % 2 ? VL - 1 : 0][i / 2]);
    for (size_t i = 0; i < VL; i++)
        CHECK(element(even, i) == x[0][i] && element(odd, i) == x[VL - 1][i]);
}

static void test_all(void)
{
    for (int trial = 0; trial < 20000; trial++) {
        test_elementwise();
        test_limits();
    }
    for (int trial = 0; trial < 20; trial++) {
        test_scale();
        test_memory();
    }
}

int main(void)
{
    /* The compiler must not move any of the variant's instructions before the check. */
    void (*volatile test)(void) = test_all;
    if (mlp_isa_supported(&KERNELS))
        test();
    else
        printf("%s: this machine cannot execute it\n", ISA_NAME);
    return report("test_simd, " ISA_NAME);
}
