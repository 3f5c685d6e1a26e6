/* internal.h - what the files of csrc/ share beyond mlp.h: the network's layout, the arena in which
 * one call works, and the pass, which streams a batch through forward, delta and gradient chunk by
 * chunk. */
#ifndef MLP_INTERNAL_H
#define MLP_INTERNAL_H

#include "kernels.h"
#include "mlp.h"

/* *c <- a b or a + b; 0 when it overflows. The only places where sizes are computed. */
int mlp_size_multiply(size_t a, size_t b, size_t *c);
int mlp_size_add(size_t a, size_t b, size_t *c);

/* Memory for n doubles on a 64-byte boundary; NULL when there is none. Freed by mlp_release. */
double *mlp_allocate(size_t n);
void mlp_release(double *p);

/* Sets round to nearest, FTZ and DAZ off; returns what leave() restores. (dispatch.c) */
uint64_t mlp_fp_enter(void);
void mlp_fp_leave(uint64_t saved);

/* Fisher and Yates's shuffle from the end, in portions: settles up to `most` of the first `left`
 * entries; returns how many are left, 1 or 0 at the end. (random.c) */
size_t mlp_random_shuffle(struct mlp_stream *stream, size_t left, size_t most, size_t *order);

struct mlp_layer {
    size_t m_in, m_out; /* m^(l-1), m^(l) */
    size_t offset;      /* of w^(l) (m_in, m_out) in the parameters; b^(l) (m_out,) follows it */
    enum mlp_activation g;
};

struct mlp_network {
    const struct mlp_kernels *kernels;
    double *parameters;  /* (P,), the caller's */
    size_t n_parameters; /* P */
    size_t n_layers;     /* L */
    size_t row_size;     /* doubles that a chunk needs per instance: see mlp_arena_new */
    size_t max_width;    /* max m^(l), l = 1..L */
    size_t chunk;        /* instances per chunk */
    enum mlp_loss loss;
    struct mlp_layer layers[]; /* layers[l-1] is layer l */
};

static inline size_t mlp_n_inputs(const struct mlp_network *net) { return net->layers[0].m_in; }
static inline size_t mlp_n_outputs(const struct mlp_network *net)
{
    return net->layers[net->n_layers - 1].m_out;
}

/* Rows begin .. begin + rows - 1 of x as float64 (rows, columns): where they lie, or converted into
 * buffer. With order, row i is x's row order[i]. */
const double *mlp_rows(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                       double *buffer);

/* Scratch for chunks of up to `rows` instances: one block of memory, cut up. */
struct mlp_arena {
    size_t rows;
    double *block;
    double *x, *y;     /* (rows, m^(0)), (rows, m^(L)): converted or gathered rows */
    double **a;        /* a[l-1] (rows, m^(l)) */
    double *delta[2];  /* (rows, max_width) each; delta^(l) and delta^(l-1) take turns */
    double *terms, *c; /* (rows, m^(L)) and (rows,): the cost's */
    double *panel;     /* of the products */
};

/* For `rows` instances, or the network's chunk if that is less. */
enum mlp_status mlp_arena_new(struct mlp_arena *arena, const struct mlp_network *net, size_t rows);
void mlp_arena_free(struct mlp_arena *arena);

/* An unevaluated sum of two doubles. */
struct mlp_pair {
    double high, low;
};
struct mlp_pair mlp_pair_add(struct mlp_pair a, struct mlp_pair b);
double mlp_pair_difference(struct mlp_pair a, struct mlp_pair b);

/* At most so many ranges of a large batch have a chain of their own. */
#define MLP_RANGES 64

/* One evaluation of C, and of its gradient unless gradient is NULL, over n instances. */
struct mlp_pass {
    const struct mlp_network *net;
    struct mlp_arena *arena;
    const struct mlp_matrix *x, *y;
    const size_t *order;    /* NULL: the rows as they stand */
    size_t begin, n;        /* rows begin .. begin + n - 1 of x, y or order */
    size_t n_ranges, range; /* the current one */
    size_t row;             /* rows done */
    double *gradient;       /* (P,) the result */
    double *partial;        /* (n_ranges, P) when n_ranges > 1 */
    double sum[16];         /* the range's cost: 8 lanes and their rounding errors */
    struct mlp_pair costs[MLP_RANGES];
    struct mlp_pair cost; /* the result */
};

/* How many ranges a batch of n is cut into: a function of n and P alone. */
size_t mlp_n_ranges(const struct mlp_network *net, size_t n);
/* Prepares a pass; partial is needed when mlp_n_ranges(net, n) > 1 and gradient is not NULL. */
void mlp_pass_start(struct mlp_pass *pass, const size_t *order, size_t begin, size_t n);
/* Does one chunk; 1 when the pass is complete. */
int mlp_pass_advance(struct mlp_pass *pass);

#endif
