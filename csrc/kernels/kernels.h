/* kernels.h - the table of hot loops that every variant fills in and the code around passes down.
 *
 * Kernels return void, cannot fail, allocate nothing and know nothing of networks. They have
 * finished every sum in the order that the comments state, so all variants with FMA give the same
 * bits. */
#ifndef MLP_KERNELS_H
#define MLP_KERNELS_H

#include "kernels/activations.h"
#include "mlp.h"

struct mlp_adam_step;

/* What a product does with the elements of C that are complete: w_ij takes its step with C_ij as its
 * gradient, w_ij = w[i w_row + j]. That is adam() where `adam` is not NULL, with m and v that lie as w does;
 * else descend_momentum() where v is not NULL; else descend(). Without `store` the product leaves anything in
 * C. It pays where c0 is NULL and k is at most 256; else C goes through memory, and a pass of its own is
 * faster. */
struct mlp_epilogue {
    double *w;
    ptrdiff_t w_row;
    double alpha;
    int store;
    double mu; /* of momentum */
    int nesterov;
    double *m, *v;
    const struct mlp_adam_step *adam;
};

struct mlp_layer {
    size_t m_in, m_out; /* m^(l-1), m^(l) */
    size_t offset;      /* of w^(l) (m_in, m_out) in the parameters; b^(l) (m_out,) follows it */
    enum mlp_activation g;
    int skip;    /* a^(l) = g(z^(l)) + a^(l-1), m_in = m_out */
    double drop; /* probability that training drops a unit; 0 but in a fit's own network */
};

/* What the kernels that train a whole network know of it. */
struct mlp_shape {
    const struct mlp_layer *layers; /* layers[l-1] is layer l */
    size_t n_layers, max_width;
    enum mlp_loss loss;
    double loss_parameter;
};

/* Whether g' is taken from z, in feedforward, and kept: a = g(z) does not tell it. */
static inline int mlp_keeps_derivative(enum mlp_activation g)
{
#define OR_IS(activation, f) || g == activation
    return 0 MLP_DERIVED_FROM_Z(OR_IS);
#undef OR_IS
}
/* Whether a hidden layer keeps it, for that reason or as its a^(l) is not g(z^(l)). */
static inline int mlp_layer_keeps(const struct mlp_layer *layer)
{
    return mlp_keeps_derivative(layer->g) || layer->skip || layer->drop > 0.0;
}

/* When epochs() has to stop: before more than `epochs`, or one after which |C - C_prev| < tol or
 * C <= goal. */
struct mlp_rules {
    size_t epochs;
    double tol, goal;
};

/* n doubles, rounded up so that what follows starts on a cache line too. */
static inline size_t mlp_padded(size_t n) { return (n + 7) & ~(size_t)7; }

/* Step t of Adam: m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2 and
 * w <- keep w - rate m / (root sqrt(v) + epsilon), where rate = alpha / (1 - beta1^t),
 * root = 1 / sqrt(1 - beta2^t) and keep = 1 - alpha weight_decay; g is `scale` times the gradient
 * given. */
struct mlp_adam_step {
    double beta1, beta2, epsilon, rate, root, keep, scale;
};

/* A step of Rprop; with `back` the cost has risen, and what changes its sign takes back its last
 * change. */
struct mlp_rprop_step {
    double eta_plus, eta_minus, delta_min, delta_max;
    int back;
};

/* An unevaluated sum of two doubles. */
struct mlp_pair {
    double high, low;
};

static inline struct mlp_pair mlp_pair_add(struct mlp_pair a, struct mlp_pair b)
{
    const double s = a.high + b.high, t = s - a.high;
    const double error = (a.high - (s - t)) + (b.high - t);
    const struct mlp_pair sum = {s, a.low + b.low + error};
    return sum;
}

static inline double mlp_pair_difference(struct mlp_pair a, struct mlp_pair b)
{
    return (a.high - b.high) + (a.low - b.low);
}

/* The 8 sums of accumulate() as one pair: ((0+4)+(2+6))+((1+5)+(3+7)). */
static inline struct mlp_pair mlp_pair_lanes(const double sum[16])
{
    struct mlp_pair p[8];
    for (int i = 0; i < 8; i++) {
        p[i].high = sum[i];
        p[i].low = sum[i + 8];
    }
    for (int i = 0; i < 4; i++)
        p[i] = mlp_pair_add(p[i], p[i + 4]);
    return mlp_pair_add(mlp_pair_add(p[0], p[2]), mlp_pair_add(p[1], p[3]));
}

/* The same value, its high part rounded; a sum that overflowed is infinite. */
static inline struct mlp_pair mlp_pair_normalise(struct mlp_pair a)
{
    struct mlp_pair b = {a.high, 0.0};
    if (a.high - a.high == 0.0) { /* else the errors are NaN */
        b.high = a.high + a.low;
        b.low = a.low - (b.high - a.high);
    }
    return b;
}

/* Sets round to nearest, FTZ and DAZ off; returns what leave() restores. (dispatch.c) */
uint64_t mlp_fp_enter(void);
void mlp_fp_leave(uint64_t saved);

/* Tells the processor that this thread is spinning. (dispatch.c) */
void mlp_pause(void);

struct mlp_kernels {
    const char *name;
    /* Doubles that `panel` of product() must hold for matrices of up to m, n, k and strides of up
     * to `stride`: 0 for m = 1, never more than 4 MB. Grows with each of them. */
    size_t (*panel_size)(size_t m, size_t n, size_t k, size_t stride);

    /* b_row or b_col is 1.
     * C (m, n) <- C0 + A B, each element one chain of FMAs over ascending k that starts at C0.
     * a_ik = a[i a_row + k a_col], b_kj = b[k b_row + j b_col], C0_ij = c0[i c0_row + j] (0 when c0
     * is NULL), C_ij = c[i c_row + j]. C may be C0, e may be NULL. With strides one loop serves
     * z = a w + b, delta w^T and a^T delta. With m = 1 the panel is not used and may be NULL. Where many
     * a_ik are 0 their terms are left out, unless that would show. */
    void (*product)(size_t m, size_t n, size_t k, const double *a, ptrdiff_t a_row, ptrdiff_t a_col,
                    const double *b, ptrdiff_t b_row, ptrdiff_t b_col, const double *c0,
                    ptrdiff_t c0_row, double *c, ptrdiff_t c_row, const struct mlp_epilogue *e,
                    double *panel);

    /* product() for an A that is 0 but for lists of terms: of row i values[t] in columns places[t], which
     * ascend, starts[i] <= t < starts[i + 1]. `finite` says that all of B is; it need not be known. C0 may
     * be C. */
    void (*lists)(size_t m, size_t n, size_t k, const int64_t *starts, const double *values,
                  const uint32_t *places, const double *b, size_t b_row, int finite,
                  const double *c0, size_t c0_row, double *c, size_t c_row);

    /* C_ij, i <= j, of C (m, n) <- C0_ij + sum over p of x_pi x_pj, m <= n: like product(), for the rows
     * of a Gram matrix from its diagonal on. X is (k, n), its rows x_row apart; C0 is c, or 0 when c0 is
     * NULL. What lies left of the diagonal is undefined. The panel is that of a stride of 512 or more. */
    void (*gram)(size_t m, size_t n, size_t k, const double *x, ptrdiff_t x_row, const double *c0,
                 double *c, ptrdiff_t c_row, double *panel);

    /* z (rows, m) <- g(z) */
    void (*activate)(enum mlp_activation g, size_t rows, size_t m, double *z);

    /* z (n,) <- g(z), with the bits of activate(), and d (n,) <- g'(z); not softmax, not step */
    void (*activate_keep)(enum mlp_activation g, size_t n, double *z, double *d);

    /* delta (n,) <- delta * g'(z), where a = g(z), or g'(z) of those that keep it */
    void (*multiply_derivative)(enum mlp_activation g, size_t n, const double *a, double *delta);

    /* out (rows, m) <- (delta_i w_j) g'(z_ij), from delta (rows,) of a layer with one unit and its w (m,):
     * fma(delta_i, w_j, 0), then multiply_derivative() with a (rows, m). */
    void (*single_delta)(enum mlp_activation g, size_t rows, size_t m, const double *delta,
                         const double *w, const double *a, double *out);

    /* delta_ij <- a_ij (delta_ij - sum_k a_ik delta_ik), softmax's Jacobian times delta = dC/da: (rows, m) */
    void (*softmax_delta)(size_t rows, size_t m, const double *a, double *delta);

    /* From z (rows, m) of the output layer and y (rows, m): c (rows,) <- the cost of each instance,
     * a chain over ascending j; delta (rows, m) <- dC/dz unless step. z is overwritten; terms
     * (rows, m) is scratch. */
    void (*output)(enum mlp_loss loss, double parameter, enum mlp_activation g, size_t rows,
                   size_t m, double *z, const double *y, double *delta, double *terms, double *c);

    /* delta (rows, m) and c (rows,), row i of both times s_i; 0 for s_i = 0, whatever they are */
    void (*weigh)(size_t rows, size_t m, const double *s, double *delta, double *c);

    /* Adds c_i to lane (first + i) mod 8 of sum[16] = 8 sums, then their 8 rounding errors. */
    void (*accumulate)(size_t rows, size_t first, const double *c, double *sum);

    /* w <- w - alpha g */
    void (*descend)(size_t n, double alpha, const double *g, double *w);
    /* v <- mu v - alpha g; w <- w + v, or with nesterov w <- w + mu v - alpha g */
    void (*descend_momentum)(size_t n, double alpha, double mu, int nesterov, const double *g,
                             double *v, double *w);
    /* x <- x + y */
    void (*add)(size_t n, const double *y, double *x);
    /* x <- x * y */
    void (*multiply)(size_t n, const double *y, double *x);
    /* g <- g + (l2 w + l1 sign(w)), sign(0) = 0 */
    void (*penalise)(size_t n, double l1, double l2, const double *w, double *g);
    /* sum of x_i^2 in 8 lanes, (i mod 8), added as ((0+4)+(2+6))+((1+5)+(3+7)) */
    double (*sum_squares)(size_t n, const double *x);
    /* sum of |x_i|, in the order of sum_squares() */
    double (*sum_sizes)(size_t n, const double *x);
    /* sum of x_i y_i, in the order of sum_squares() */
    double (*dot)(size_t n, const double *x, const double *y);
    /* out <- a x + b y, as fma(b, y, a x); returns the sum of out_i z_i in the order of sum_squares(),
     * 0 when z is NULL. out may be x, y or z. */
    double (*combine)(size_t n, double a, const double *x, double b, const double *y,
                      const double *z, double *out);
    /* s <- a s; y <- g - g0; sums <- s.y, y.y, g.g and s.g in the order of sum_squares() */
    void (*curvature)(size_t n, double a, const double *g, const double *g0, double *s, double *y,
                      double sums[4]);
    /* 1 when no element is NaN or infinite */
    int (*all_finite)(size_t n, const double *x);

    /* Steps of gradient descent on one instance after another, rows order[0 .. n-1] of x and y (the
     * first n rows when order is NULL). Adds their costs up in *cost and stops before a step that
     * makes the sum infinite or NaN; returns the number of steps. gradient <- the n-th step's, unless
     * it is NULL. scratch: mlp_online_scratch(). */
    size_t (*online)(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                     const double *y, const size_t *order, double *parameters, double *gradient,
                     struct mlp_pair *cost, double *scratch);
    /* Full-batch epochs on n rows: the step along the gradient, then C and the gradient there, as
     * long as no rule or number that is not finite may end the training. On entry and on return
     * gradient and *cost belong to the parameters. costs <- C after each epoch, squares <- the
     * gradient's sum_squares() there; returns the number of epochs, 0 for all but the smallest
     * networks and batches. */
    size_t (*epochs)(const struct mlp_shape *shape, double alpha, size_t n, const double *x,
                     const double *y, const struct mlp_rules *rules, double *parameters,
                     double *gradient, struct mlp_pair *cost, double *costs, double *squares);
    /* y_i <- f(x_i) */
    void (*vector_math)(enum mlp_function f, size_t n, const double *x, double *y);

    /* Row i of out, of `rows` rows out_row apart <- the derivatives by all parameters, in their
     * layout, of what delta^(l) = d/dz^(l) belongs to: dw^(l)_j'j = a^(l-1)_ij' delta^(l)_ij,
     * db^(l)_j = delta^(l)_ij. x is the first instance's a^(0); a[l-1] and delta[l-1] (.., m^(l))
     * begin `first` instances before it. Each row has room for 7 doubles behind its P, which are
     * overwritten. */
    void (*jacobian)(const struct mlp_shape *shape, size_t first, size_t rows, const double *x,
                     double *const *a, double *const *delta, double *out, size_t out_row);
    /* x (m, n) <- U^-T x for U (m, m), the upper triangle at u; rows of both are `row` apart. Each
     * element is one chain of FMAs over ascending rows, times 1 / u_pp. */
    void (*eliminate)(size_t m, size_t n, const double *u, double *x, size_t row);
    /* See struct mlp_adam_step: one pass, which reads 32 bytes a parameter and writes 24. */
    void (*adam)(size_t n, const struct mlp_adam_step *o, const double *g, double *m, double *v,
                 double *w);
    /* Where g and p, the gradient before, have the same sign: delta <- min(eta_plus delta,
     * delta_max). Where their signs are opposite: w <- w + sign(p) delta with `back`, then delta <-
     * max(eta_minus delta, delta_min) and p <- 0. Then, wherever they are not opposite, w <- w -
     * sign(g) delta and p <- g. */
    void (*rprop)(size_t n, const struct mlp_rprop_step *o, const double *g, double *p,
                  double *delta, double *w);
    /* g <- scale g, then what is beyond +-limit <- that limit */
    void (*clip)(size_t n, double scale, double limit, double *g);
};

extern const struct mlp_kernels mlp_kernels_base;
extern const struct mlp_kernels mlp_kernels_neon;
extern const struct mlp_kernels mlp_kernels_avx2;
extern const struct mlp_kernels mlp_kernels_avx512;

#endif
