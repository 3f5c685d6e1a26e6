/* fuzz.h - what the fuzz targets of the C core share: the bytes of an input read as numbers, a network of
 * a random description, arrays of every type and stride that end where their memory ends, and a check
 * that stops the process.
 *
 * The contracts of mlp.h are the limits: what Python validates before it calls is valid here, everything
 * else may be anything. */
#ifndef FUZZ_H
#define FUZZ_H

#include "allocations.h"

#include "mlp.h"

#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold: else the input is a finding. */
#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- the bytes of an input ---- */

struct input {
    const uint8_t *data;
    size_t left;
    uint64_t state; /* of the arrays' elements */
};

static inline unsigned byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}
/* 0 .. most */
static inline size_t at_most(struct input *in, size_t most) { return byte(in) % (most + 1); }
static inline size_t from_to(struct input *in, size_t low, size_t high)
{
    return low + at_most(in, high - low);
}
/* One in so many, and never at the end of the input. */
static inline int seldom(struct input *in, unsigned one_in) { return byte(in) % one_in == 1; }

static inline uint64_t random_bits(struct input *in)
{
    in->state ^= in->state >> 12;
    in->state ^= in->state << 25;
    in->state ^= in->state >> 27;
    return in->state * 2685821657736338717u;
}
static inline double random_value(struct input *in)
{
    return (double)(random_bits(in) >> 11) * 0x1p-52 - 1.0;
}

static const double SPECIAL[] = {0.0,   -0.0,   1.0,     -1.0,   0.5,    1e-300,   5e-324, -5e-324,
                                 1e300, -1e300, 0x1p512, 1e-160, -745.2, 709.7827, 1e16,   36.7};

/* Any finite number, often one where functions change. */
static inline double number(struct input *in)
{
    const unsigned kind = byte(in);
    if (kind < 128)
        return (double)(int8_t)byte(in) / 16.0;
    if (kind < 192)
        return SPECIAL[byte(in) % (sizeof SPECIAL / sizeof *SPECIAL)];
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | byte(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    return isfinite(value) ? value : 0.25;
}
/* In [low, high], spread over the orders of magnitude; 0 <= low. */
static inline double between(struct input *in, double low, double high)
{
    const unsigned place = byte(in);
    if (place == 0 || place == 255)
        return place ? high : low;
    const double least = fmax(low, fmin(1e-12, high)), most = fmin(high, 1e12);
    return fmin(fmax(least * pow(most / least, place / 255.0), low), high);
}

/* Memory for exactly so many bytes, of which the sanitizer guards the ends. */
static inline void *memory(size_t size)
{
    const long kept = allowed;
    allowed = -1;
    void *p = malloc(size ? size : 1);
    allowed = kept;
    HOLDS(p != NULL);
    return p;
}
static inline double *numbers(size_t n) { return memory(n * sizeof(double)); }
static inline double *copied(const double *x, size_t n)
{
    return memcpy(numbers(n), x, n * sizeof *x);
}

static inline int same(const double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++) { /* what overflowed may be infinite or NaN */
        if (memcmp(x + i, y + i, sizeof *x) != 0 && (isfinite(x[i]) || isfinite(y[i])))
            return 0;
    }
    return 1;
}

/* ---- arrays as callers have them ---- */

struct array {
    struct mlp_matrix matrix;
    uint8_t *block;
    size_t size;
    uint64_t sum; /* of its bytes: inputs are never written */
    size_t *rows; /* NULL: all, as they stand */
};

/* Where row i is. */
static inline const char *row_of(const struct mlp_matrix *x, size_t i)
{
    return x->data + (ptrdiff_t)(x->rows != NULL ? x->rows[i] : i) * x->row_stride;
}

static inline uint64_t sum_of(const uint8_t *p, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

/* The range of an array's values. */
enum kind { ANY, UNIT, POSITIVE };

static inline double element(struct input *in, enum kind kind, int wild)
{
    double value = 2.0 * random_value(in);
    if (wild && random_bits(in) % 8 == 0) {
        static const double WILD[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
        const uint64_t i = random_bits(in) % 24;
        value = i < 3 ? WILD[i] : SPECIAL[i % (sizeof SPECIAL / sizeof *SPECIAL)];
    }
    if (kind == UNIT)
        return isfinite(value) ? fmin(fabs(value), 1.0) : 1.0;
    return kind == POSITIVE ? (isfinite(value) ? fabs(value) : 2.0) : value;
}

static inline void put(uint8_t *p, enum mlp_dtype dtype, double value, size_t label, int labels)
{
    const double in_range = isfinite(value) ? fmax(fmin(value * 20.0, 120.0), -120.0) : 7.0;
    const double whole = labels ? (double)label : in_range, natural = fabs(whole);
    switch (dtype) {
#define PUT(name, type, from)                                                                      \
    case name: {                                                                                   \
        const type v = (type)(from);                                                               \
        memcpy(p, &v, sizeof v);                                                                   \
        break;                                                                                     \
    }
        PUT(MLP_FLOAT64, double, labels ? whole : value)
        PUT(MLP_FLOAT32, float, labels ? whole : fabs(value) < 1e38 ? value : 3.0)
        PUT(MLP_INT8, int8_t, whole)
        PUT(MLP_INT16, int16_t, whole)
        PUT(MLP_INT32, int32_t, whole)
        PUT(MLP_INT64, int64_t, whole)
        PUT(MLP_UINT8, uint8_t, natural)
        PUT(MLP_UINT16, uint16_t, natural)
        PUT(MLP_UINT32, uint32_t, natural)
        PUT(MLP_UINT64, uint64_t, natural)
#undef PUT
    }
}

/* (n, columns) of any type and strides, or (n,) of labels. Its memory holds the elements and nothing
 * beside them. C reads contiguous rows of float64 where they lie: those are aligned. */
static inline struct array array(struct input *in, size_t n, size_t columns, enum kind kind,
                                 int labels, int wild)
{
    static const ptrdiff_t SIZE[] = {8, 4, 1, 2, 4, 8, 1, 2, 4, 8};
    const unsigned form = byte(in);
    const enum mlp_dtype dtype = (enum mlp_dtype)(form < 100 ? 0 : form % 10);
    const ptrdiff_t size = SIZE[dtype], width = labels ? 1 : (ptrdiff_t)columns;
    ptrdiff_t row = width * size, column = size;
    if (form & 1) { /* with gaps, transposed, backwards, one row again and again */
        const ptrdiff_t gap = size * (ptrdiff_t)at_most(in, 3);
        switch (at_most(in, 4)) {
        case 0:
            row += gap;
            break;
        case 1:
            column = (ptrdiff_t)n * size;
            row = size;
            break;
        case 2:
            column += gap;
            row = width * column + gap;
            break;
        case 3:
            row = 0;
            break;
        default:
            row += (dtype == MLP_FLOAT64 ? 8 : 1) * (ptrdiff_t)at_most(in, 7);
            break;
        }
        if (seldom(in, 3))
            row = -row;
        if (seldom(in, 5))
            column = -column;
    }
    if (kind == UNIT && dtype >= MLP_INT8 && !labels)
        wild = 0;
    const ptrdiff_t down = (ptrdiff_t)(n - 1) * row, right = (width - 1) * column;
    const ptrdiff_t low = (down < 0 ? down : 0) + (right < 0 ? right : 0);
    const ptrdiff_t high = (down > 0 ? down : 0) + (right > 0 ? right : 0) + size;
    struct array a = {.size = (size_t)(high - low)};
    a.block = memory(a.size);
    memset(a.block, 0x7f, a.size);
    uint8_t *first = a.block - low;
    for (size_t i = 0; i < n; i++) {
        for (ptrdiff_t j = 0; j < width; j++) {
            double value = element(in, kind, wild);
            if (kind == UNIT && dtype >= MLP_INT8)
                value = value > 0.5 ? 0.05 : 0.0; /* 1 or 0, see put() */
            put(first + (ptrdiff_t)i * row + j * column, dtype, value,
                (size_t)(random_bits(in) % columns), labels);
        }
    }
    a.matrix = (struct mlp_matrix){.data = (const char *)first,
                                   .row_stride = row,
                                   .column_stride = column,
                                   .columns = columns,
                                   .dtype = dtype,
                                   .kind = labels ? MLP_LABELS : MLP_VALUES};
    if (seldom(in, 5)) { /* rows by number, some of them twice */
        size_t *rows = (size_t *)memory(n * sizeof *rows);
        for (size_t i = 0; i < n; i++)
            rows[i] = at_most(in, (unsigned)(n - 1));
        a.matrix.rows = a.rows = rows;
    }
    a.sum = sum_of(a.block, a.size);
    return a;
}
static inline void array_free(struct array *a)
{
    HOLDS(sum_of(a->block, a->size) == a->sum);
    free(a->block);
    free(a->rows);
}

/* ---- a network ---- */

enum { MOST_LAYERS = 4, WIDEST = 257 };

struct subject {
    struct mlp_network *net;
    size_t L, layers[MOST_LAYERS + 1], P;
    enum mlp_activation g[MOST_LAYERS];
    enum mlp_loss loss;
    double loss_parameter;
    double *parameters;
    int steps, residual, scaled; /* whether it has step units; skip connections; a scaling */
    double scaling[MLP_SCALING(WIDEST, WIDEST)];
    size_t chunk;
    double grain;
};

static inline const struct mlp_kernels *isa(struct input *in)
{
    const struct mlp_kernels *best = mlp_isa_best();
    for (size_t i = 0, skip = at_most(in, 3); mlp_isa(i) != NULL; i++) {
        if (mlp_isa_supported(mlp_isa(i)) && skip-- == 0)
            return mlp_isa(i);
    }
    return best;
}

static inline size_t width(struct input *in)
{
    static const size_t WIDTHS[] = {15, 16, 17, 24, 31, 32, 33, 48, 64, 65, 257};
    const unsigned b = byte(in);
    return b < 224 ? 1 + b % 12 : WIDTHS[b % 11];
}

/* What mlp.h says goes together. */
static inline enum mlp_activation output_of(struct input *in, enum mlp_loss loss, size_t outputs)
{
    switch (loss) {
    case MLP_CROSS_ENTROPY:
        return outputs == 1 ? MLP_SIGMOID : MLP_SOFTMAX;
    case MLP_BINARY_CROSS_ENTROPY:
        return MLP_SIGMOID;
    case MLP_POISSON:
        return MLP_EXPONENTIAL;
    default:
        return (enum mlp_activation)at_most(in, MLP_MISH);
    }
}

/* The network of s once more, with parameters of its own. */
static inline struct mlp_network *built(const struct subject *s, const struct mlp_kernels *kernels,
                                        double *parameters)
{
    struct mlp_network *net = NULL;
    const enum mlp_status status = mlp_network_new(&net, kernels, s->L, s->layers, s->g, s->loss);
    HOLDS(status == MLP_OK || (status == MLP_NO_MEMORY && net == NULL));
    if (net == NULL)
        return NULL;
    mlp_network_set_loss_parameter(net, s->loss_parameter);
    if (s->residual)
        mlp_network_set_residual(net);
    mlp_network_set_tuning(net, s->chunk, s->grain);
    mlp_network_set_parameters(net, parameters);
    if (s->scaled)
        mlp_network_set_scaling(net, s->scaling);
    return net;
}

/* Offsets and scales of the inputs, and of outputs whose targets are plain numbers. */
static inline void scaling_of(struct input *in, struct subject *s)
{
    const size_t m0 = s->layers[0], mL = s->layers[s->L];
    const int plain = s->loss == MLP_SQUARED_ERROR || s->loss == MLP_ABSOLUTE_ERROR ||
                      s->loss == MLP_HUBER || s->loss == MLP_QUANTILE;
    s->scaled = 1;
    s->scaling[0] = 1.0;
    s->scaling[1] = plain;
    for (size_t j = 0; j < MLP_SCALING(m0, mL) - 2; j++) {
        const double value = random_value(in);
        const int scale = (j >= m0 && j < 2 * m0) || j >= 2 * m0 + mL;
        s->scaling[2 + j] = scale ? 0.01 + value * value : value;
    }
}

/* At most so many parameters; no step units unless they are asked for. */
static inline int subject(struct input *in, const struct mlp_kernels *kernels, size_t most,
                          int steps, struct subject *s)
{
    memset(s, 0, sizeof *s);
    s->L = from_to(in, 1, MOST_LAYERS);
    for (size_t l = 0; l <= s->L; l++)
        s->layers[l] = l > 0 && seldom(in, 3) ? s->layers[l - 1] : width(in);
    s->loss = (enum mlp_loss)at_most(in, MLP_POISSON);
    for (size_t l = 1; l <= s->L; l++) {
        s->P += (s->layers[l - 1] + 1) * s->layers[l];
        enum mlp_activation g = l < s->L ? (enum mlp_activation)at_most(in, MLP_MISH)
                                         : output_of(in, s->loss, s->layers[l]);
        if ((g == MLP_SOFTMAX && (l < s->L || s->layers[l] == 1)) || (g == MLP_STEP && !steps))
            g = MLP_TANH;
        s->steps |= g == MLP_STEP;
        s->g[l - 1] = g;
    }
    if (s->P > most)
        return 0;
    s->loss_parameter = s->loss == MLP_QUANTILE ? between(in, 1e-3, 0.999) : between(in, 1e-6, 1e6);
    s->residual = seldom(in, 4);
    s->chunk = seldom(in, 3) ? from_to(in, 1, 9) : 0;
    s->grain = seldom(in, 2) ? 1.0 : 0.0;
    in->state = (uint64_t)byte(in) << 8 | byte(in) | 1u << 20;
    if (in->state % 4 == 1)
        scaling_of(in, s);
    s->parameters = numbers(s->P);
    const double scale = seldom(in, 4) ? between(in, 1e-3, 1e6) : 1.0;
    for (size_t j = 0; j < s->P; j++)
        s->parameters[j] = scale * random_value(in);
    for (size_t k = seldom(in, 4) ? at_most(in, 4) : 0; k > 0; k--)
        s->parameters[byte(in) % s->P] = number(in);
    s->net = built(s, kernels, s->parameters);
    if (s->net == NULL) {
        free(s->parameters);
        return 0;
    }
    HOLDS(mlp_network_n_parameters(s->net) == s->P);
    return 1;
}
static inline void subject_free(struct subject *s)
{
    mlp_network_free(s->net);
    free(s->parameters);
}

/* Some targets are missing, of a softmax all of an instance's: where the sizes say so, which costs no byte of the
 * input. */
static inline void leave_gaps(const struct subject *s, size_t n, struct array *y)
{
    const size_t m = y->matrix.columns;
    const int narrow = y->matrix.dtype == MLP_FLOAT32;
    if ((n * 7 + m) % 4 != 0 || y->matrix.kind == MLP_LABELS ||
        (!narrow && y->matrix.dtype != MLP_FLOAT64))
        return;
    y->matrix.kind = MLP_GAPS;
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = y->block + (row_of(&y->matrix, i) - (const char *)y->block);
        for (size_t j = 0; j < m; j++) {
            const size_t at = s->g[s->L - 1] == MLP_SOFTMAX ? i : i * m + j;
            if (at * 2654435761u / 64 % 3 != 0)
                continue;
            const double gap = (double)NAN;
            const float narrow_gap = (float)NAN;
            memcpy(p + (ptrdiff_t)j * y->matrix.column_stride,
                   narrow ? (const void *)&narrow_gap : (const void *)&gap,
                   narrow ? sizeof narrow_gap : sizeof gap);
        }
    }
    y->sum = sum_of(y->block, y->size);
}

/* The targets that the loss takes, or labels. */
static inline struct array targets(struct input *in, const struct subject *s, size_t n, int wild)
{
    const size_t outputs = s->layers[s->L];
    const int labels = s->g[s->L - 1] == MLP_SOFTMAX && outputs <= 100 && seldom(in, 2);
    enum kind kind = ANY;
    if (s->loss == MLP_CROSS_ENTROPY || s->loss == MLP_BINARY_CROSS_ENTROPY)
        kind = UNIT;
    else if (s->loss == MLP_POISSON)
        kind = POSITIVE;
    struct array y = array(in, n, outputs, kind, labels, wild);
    leave_gaps(s, n, &y);
    return y;
}

/* An allocation from now on is refused, in one of two inputs. */
static inline void run_out(struct input *in) { allowed = seldom(in, 2) ? (long)byte(in) % 40 : -1; }

/* As it was: how the processor rounds, and that memory is given. */
static inline void settle(void)
{
    allowed = -1;
    HOLDS(fegetround() == FE_TONEAREST);
}

#endif
