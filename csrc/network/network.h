/* network.h - what the files of csrc/ share beyond mlp.h: the network's layout, the team of threads
 * and the arenas in which one call works, the formulas of a layer, and the pass, which streams a
 * batch through forward, delta and gradient chunk by chunk. */
#ifndef MLP_NETWORK_H
#define MLP_NETWORK_H

#include "kernels/kernels.h"
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

/* Tells the processor that this thread is spinning. (dispatch.c) */
void mlp_pause(void);

/* order (n,) <- 0 .. n - 1 */
static inline void mlp_identity(size_t n, size_t *order)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
}

/* Fisher and Yates's shuffle from the end, in portions: settles up to `most` of the first `left`
 * entries; returns how many are left, 1 or 0 at the end. (random.c) */
size_t mlp_random_shuffle(struct mlp_stream *stream, size_t left, size_t most, size_t *order);

struct mlp_network {
    const struct mlp_kernels *kernels;
    double *parameters;  /* (P,), the caller's */
    size_t n_parameters; /* P */
    size_t n_layers;     /* L */
    size_t units;        /* m^(1) + ... + m^(L) */
    size_t max_width;    /* max m^(l), l = 1..L */
    size_t chunk;        /* instances per chunk and thread; 0: mlp_chunk_rows chooses */
    double grain;        /* multiply-adds that a thread must have to itself to be worth waking */
    enum mlp_loss loss;
    double loss_parameter;     /* of the losses that have one */
    size_t second;             /* units of the hidden layers that keep g'(z) */
    size_t carried;            /* the widest layer that is skipped; 0: there is none */
    struct mlp_layer layers[]; /* layers[l-1] is layer l */
};

static inline size_t mlp_n_inputs(const struct mlp_network *net) { return net->layers[0].m_in; }
static inline size_t mlp_n_outputs(const struct mlp_network *net)
{
    return net->layers[net->n_layers - 1].m_out;
}

/* Hidden layers drop units from now on, with these probabilities (L - 1,). */
void mlp_network_set_dropout(struct mlp_network *network, const double *dropout);
/* A copy of the network with other parameters, for mlp_network_free; NULL when there is no memory. */
struct mlp_network *mlp_network_twin(const struct mlp_network *net, double *parameters);

/* What kernels know of the network. */
static inline struct mlp_shape mlp_shape_of(const struct mlp_network *net)
{
    return (struct mlp_shape){net->layers, net->n_layers, net->max_width, net->loss,
                              net->loss_parameter};
}

/* Rows begin .. begin + rows - 1 of x as float64 (rows, columns): where they lie, or converted into
 * buffer. With order, row i is x's row order[i]. */
const double *mlp_rows(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                       double *buffer);

/* Where rows 0 .. n - 1 of x lie as contiguous float64, or NULL. */
const double *mlp_rows_in_place(const struct mlp_matrix *x, size_t n);

/* ---- threads (threads.c) ---- */

/* So many at most, whatever is asked for: a bound for arithmetic, not a tuned figure. */
#define MLP_MAX_THREADS ((size_t)256)

/* The caller, thread 0, and the workers that it has borrowed, 1 to n_threads - 1. */
struct mlp_team {
    size_t n_threads;
    struct mlp_worker *workers;
    int measured; /* the caller measures whether its threads pay: the model may be bolder */
};
typedef void (*mlp_task)(void *context, size_t thread, size_t part);

/* As many threads as there are idle, at most n_threads. Cannot fail: the caller remains. */
void mlp_team_open(struct mlp_team *team, size_t n_threads);
void mlp_team_close(struct mlp_team *team);
/* task(context, thread, part) for part = 0..n_parts - 1, on up to n_threads threads of the team, in
 * any order; returns when all are done. */
void mlp_team_run(const struct mlp_team *team, size_t n_threads, size_t n_parts, mlp_task task,
                  void *context);

/* Seconds of a clock that only ever advances. */
double mlp_seconds(void);

/* How many threads so many multiply-adds between two barriers are worth. */
size_t mlp_team_size(const struct mlp_team *team, const struct mlp_network *net, double work);

/* Where part number `part` of n begins, when there are `parts`: multiples of `unit` but for the end. */
static inline size_t mlp_part_of(size_t n, size_t parts, size_t part, size_t unit)
{
    const size_t units = n / unit + (n % unit != 0);
    const size_t start = unit * (units / parts * part + units % parts * part / parts);
    return start < n ? start : n;
}
/* The same in cache lines of doubles. */
static inline size_t mlp_part(size_t n, size_t parts, size_t part)
{
    return mlp_part_of(n, parts, part, 8);
}

/* Scratch for chunks of up to `rows` instances. */
struct mlp_arena {
    size_t rows;
    double *block;     /* what mlp_arenas_free frees, in the first one */
    double *x, *y;     /* (rows, m^(0)), (rows, m^(L)): converted or gathered rows */
    double **a;        /* a[l-1] (rows, m^(l)); a[L+l-1] the same of g'(z^(l)), or NULL */
    double **delta;    /* delta[l-1] (rows, m^(l)); delta[L] what skips carry (rows, carried) */
    double *terms, *c; /* (rows, m^(L)) and (rows,): the cost's */
    double *s;         /* (rows,) weights of instances: converted or gathered */
    double *panel;     /* of the products */
    double *scratch;   /* of mlp_online_scratch() */
};

enum mlp_purpose {
    MLP_FORWARD, /* x and a alone, a^(l) in two places that take turns */
    MLP_TRAIN,   /* everything */
};

/* n arenas in one block of memory: the first for `first` instances, the others for `rows`, with a panel
 * for the larger of these numbers. */
enum mlp_status mlp_arenas_new(struct mlp_arena *arenas, size_t n, const struct mlp_network *net,
                               enum mlp_purpose purpose, size_t first, size_t rows);
void mlp_arenas_free(struct mlp_arena *arenas);
/* Instances per chunk for so many threads, at most n. */
size_t mlp_chunk_rows(const struct mlp_network *net, size_t n_threads, size_t n);

/* The arenas of a pass over up to n instances, or of batches of `batch` and then such a pass. Thread
 * 0's holds the chunks that threads share. */
struct mlp_workspace {
    size_t n_threads;
    struct mlp_arena *arenas; /* (n_threads,) */
    double *partial;          /* the gradients of the ranges, NULL where no batch has any */
};
enum mlp_status mlp_workspace_new(struct mlp_workspace *space, const struct mlp_network *net,
                                  size_t n_threads, size_t batch, size_t n, int with_gradient);
void mlp_workspace_free(struct mlp_workspace *space);

/* ---- the formulas (layers.c) ---- */

/* a^(l) <- g(b^(l) + a^(l-1) w^(l)), + a^(l-1) where that layer is skipped, l = 1..L, of instances
 * first .. first + rows - 1: x is the first one's a^(0), a[l-1] (.., m^(l)) holds all for l < L. last
 * (rows, m^(L)) <- a^(L), or z^(L) when linear. Where the layer keeps g'(z^(l)), a[L+l-1] takes it,
 * unless it is NULL. */
void mlp_forward(const struct mlp_network *net, size_t first, size_t rows, const double *x,
                 double *const *a, double *last, double *panel, int linear);
/* delta[l-1] <- e^(l) * g'(z^(l)), l = from .. to + 1, of the same instances: all of them for from =
 * L - 1, to = 0. e^(l) = dC/da^(l) is delta[l] w^(l+1)T, + e^(l+1) where layer l + 1 is skipped; of a
 * layer l that is skipped it is left in delta[L]. */
void mlp_deltas(const struct mlp_network *net, size_t from, size_t to, size_t first, size_t rows,
                double *const *a, double *const *delta, double *panel);

/* From instance `first` on, g'(z^(l+1)) where layers[l] keeps it, else NULL. */
static inline double *mlp_kept(const struct mlp_network *net, double *const *a, size_t l,
                               size_t first)
{
    const struct mlp_layer *layer = &net->layers[l];
    const int keeps = l + 1 < net->n_layers && mlp_layer_keeps(layer);
    double *d = keeps ? a[net->n_layers + l] : NULL;
    return d == NULL ? NULL : d + first * layer->m_out;
}
/* That, or a^(l+1): what g' is taken from. */
static inline const double *mlp_derivable(const struct mlp_network *net, double *const *a, size_t l,
                                          size_t first)
{
    const double *d = mlp_kept(net, a, l, first);
    return d == NULL ? a[l] + first * net->layers[l].m_out : d;
}

/* delta[L], from that instance on. */
static inline double *mlp_carried(const struct mlp_network *net, double *const *delta, size_t first)
{
    double *e = delta[net->n_layers];
    return e == NULL ? NULL : e + first * net->carried;
}

/* Columns c0 .. c1 - 1 of one step of mlp_forward, for layers[l]: of z (rows, m_out) from previous
 * (rows, m_in); and of d, unless it is NULL: see mlp_kept. What skips it is not added. */
void mlp_layer_forward(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                       size_t c0, size_t c1, double *z, double *d, double *panel, int linear);
/* Those columns of a (rows, m_out) += previous (rows, m_in), where layers[l] is skipped. */
void mlp_layer_skip(const struct mlp_network *net, size_t l, size_t rows, const double *previous,
                    size_t c0, size_t c1, double *a);
/* The same of one step of mlp_deltas, through layers[l]: of previous (rows, m_in) from delta (rows,
 * m_out) and a (rows, m_in), what mlp_derivable gives of the layer before. carried is delta[L] from its
 * first instance on: its rows are as far apart for every layer, for a thread is in one layer with its
 * instances while another is in the next with its own. */
void mlp_layer_delta(const struct mlp_network *net, size_t l, size_t rows, const double *delta,
                     const double *a, size_t c0, size_t c1, double *previous, double *carried,
                     double *panel);
/* out (rows, m^(0)), rows `stride` apart, <- dC/dx = e^(0), after mlp_deltas. */
void mlp_input_delta(const struct mlp_network *net, size_t rows, double *const *delta, double *out,
                     ptrdiff_t stride, double *panel);

/* Whether so many threads share a layer's columns rather than the rows of a batch. Each then reads
 * and steps the same columns of w in every batch, which stay in its cache, and what goes from core
 * to core is activations and deltas: rows (m_in + m_out) numbers instead of m_in m_out. */
int mlp_by_columns(const struct mlp_layer *layer, size_t rows, size_t parts);

/* z (rows, m^(L)) <- a^(L) = g(z); d takes g'(z) where the output layer keeps it. Returns what
 * multiply_derivative() takes of it: a^(L) or d. (jacobian.c) */
const double *mlp_output_activate(const struct mlp_network *net, size_t rows, double *z, double *d);
/* delta (rows, m^(L)) <- d a^(L)_k / d z^(L) of instances whose a^(L) is a, with what
 * mlp_output_activate returned for them. (jacobian.c) */
void mlp_output_deltas(const struct mlp_network *net, size_t rows, size_t k, const double *a,
                       const double *derivable, double *delta);

/* The memory of a solver of first order, and its step. */
struct mlp_step {
    int plain; /* w <- w - rate g and nothing else: what a product can do with its result */
    int raw_epsilon;
    double rate;  /* alpha in this epoch */
    double scale; /* of the gradient: 1, or of a mean 1 / sum s */
    struct mlp_descent options;
    double *gradient; /* (P,) */
    double *velocity; /* (P,), NULL without momentum */
    struct mlp_adam adam;
    struct mlp_adam_step next; /* of Adam */
    double *m, *v;             /* (P,), NULL but for Adam */
    double powers[2], steps;   /* beta1^t, beta2^t, t */
    struct mlp_schedule schedule;
    double plateau[2]; /* the lowest cost, and the epochs in a row that did not lower it */
    double clip_norm, clip_value;
};
/* Parameters begin .. begin + n - 1 take the step. (descent.c) */
void mlp_step_take(const struct mlp_step *step, const struct mlp_network *net, size_t begin,
                   size_t n);

/* l1 sum |w| + l2/2 sum w^2 over all weights, which biases are not. */
struct mlp_penalty {
    double l1, l2;
};
static inline int mlp_penalises(const struct mlp_penalty *p) { return p->l1 > 0.0 || p->l2 > 0.0; }
/* Its value, by up to MLP_RANGES blocks, a function of P, added in a binary tree. (penalty.c) */
double mlp_penalty_cost(const struct mlp_network *net, const struct mlp_team *team,
                        const struct mlp_penalty *penalty);
/* Adds its gradient to parameters begin .. begin + n - 1 of a gradient (P,). (penalty.c) */
void mlp_penalise(const struct mlp_network *net, const struct mlp_penalty *penalty, size_t begin,
                  size_t n, double *gradient);

/* Part number `part` of `parts` of every layer's gradient, from `rows` instances:
 * dC/dw^(l) <- C0 + a^(l-1)T delta^(l) and dC/db^(l) <- C0 + sum_i delta^(l)_i, where C0 is what the
 * chunks before left there, or 0 for the first. Then, unless it is NULL, the penalty's, and, unless
 * step is NULL, the step of that part; the gradient may be left undefined when `keep` is 0. */
void mlp_gradient_part(const struct mlp_network *net, size_t parts, size_t part, size_t rows,
                       const double *x, double *const *a, double *const *delta, int first,
                       double *gradient, double *panel, const struct mlp_penalty *penalty,
                       const struct mlp_step *step, int keep);

/* ---- the pass (pass.c) ---- */

/* At most so many ranges of a large batch have a chain of their own. */
#define MLP_RANGES 64

/* A range of the instances, with a chain of its own for each sum. */
struct mlp_range {
    size_t row;           /* the next one */
    double sum[16];       /* the cost: 8 lanes and their rounding errors */
    struct mlp_pair cost; /* when it is complete */
};

/* One evaluation of C, and of its gradient unless gradient is NULL, over n instances. */
struct mlp_pass {
    const struct mlp_network *net;
    const struct mlp_workspace *space;
    const struct mlp_team *team;
    const struct mlp_matrix *x, *y;
    const struct mlp_matrix *weights; /* (n, 1) of the instances, or NULL: all 1 */
    struct mlp_penalty penalty;       /* this batch's */
    /* Where layers drop units: the key, and the first word of this batch's masks. */
    struct mlp_stream masks;
    double *gradient; /* (P,) the result */
    /* Unless NULL, taken as the gradient is completed, if C is finite. */
    const struct mlp_step *step;
    int keep;               /* whether the gradient is wanted beside its step */
    const size_t *order;    /* NULL: the rows as they stand */
    size_t begin, n;        /* rows begin .. begin + n - 1 of x, y or order */
    size_t n_ranges, range; /* ranges before this one are complete */
    double work;            /* multiply-adds of the last mlp_pass_advance */
    struct mlp_pair cost;   /* the result */
    struct mlp_range ranges[MLP_RANGES];
};

/* Words of the stream that the masks of one instance take. (random.c) */
size_t mlp_mask_words(const struct mlp_network *net);
/* Takes those of n instances from the stream, from a multiple of 4 on: where they start. */
struct mlp_stream mlp_masks_take(const struct mlp_network *net, struct mlp_stream *stream,
                                 size_t n);
/* mask (c1 - c0,) <- 0 where a unit is dropped, else 1 / (1 - drop), of units c0 .. c1 - 1 of
 * layers[l], c0 a multiple of 8, in instance `row` of a batch whose masks start at that position, a
 * multiple of 4. (random.c) */
void mlp_random_mask(const struct mlp_network *net, const struct mlp_stream *masks, size_t l,
                     size_t row, size_t c0, size_t c1, double *mask);

/* How many ranges a batch of n is cut into: a function of n and P alone. */
size_t mlp_n_ranges(const struct mlp_network *net, size_t n);
void mlp_pass_start(struct mlp_pass *pass, const size_t *order, size_t begin, size_t n);
/* Does a portion of it, some milliseconds at most or one chunk; 1 when the pass is complete. */
int mlp_pass_advance(struct mlp_pass *pass);

/* An activation costs about as much as so many multiply-adds. */
#define MLP_ACTIVATION 50.0

/* task(context, arena, begin, end) for rows begin .. end - 1 of n, on as many threads as so many
 * multiply-adds are worth, each with an arena of its own. */
typedef void (*mlp_rows_task)(const void *context, const struct mlp_arena *arena, size_t begin,
                              size_t end);
enum mlp_status mlp_run_rows(const struct mlp_network *net, enum mlp_purpose purpose, size_t n,
                             double work, size_t n_threads, mlp_rows_task task,
                             const void *context);

/* Instances begin .. end - 1 of mlp_predict, in an arena of the caller's. Calls that share one by
 * mistake may compute nonsense, but write nowhere else. Cannot fail. */
void mlp_predict_in(const struct mlp_arena *arena, const struct mlp_network *network,
                    const struct mlp_matrix *x, size_t begin, size_t end, int linear, double *out);

/* ---- many steps in one call of a kernel (online.c) ---- */

/* Doubles of scratch that online() needs. */
size_t mlp_online_scratch(const struct mlp_network *net);
/* Steps on up to n single instances, rows begin .. of x, y or order: see online(). */
size_t mlp_online(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, const size_t *order,
                  size_t begin, size_t n, double alpha, double *gradient, struct mlp_pair *cost);
/* Full-batch epochs on n rows: see epochs(). */
size_t mlp_epochs(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n, double alpha,
                  const struct mlp_rules *rules, double *gradient, struct mlp_pair *cost,
                  double *costs, double *squares);

#endif
