/* mlp.h - the whole C surface of deltaloop: the multilayer perceptron trained by backpropagation.
 *
 * The letters are those of the textbook: n instances, L layers of weights, m^(l) units in layer l
 * (m^(0) inputs), parameters (P,): for l = 1..L the matrix w^(l), row-major (m^(l-1), m^(l)), then
 * b^(l) (m^(l),).
 *
 * Contracts that hold for every function here:
 * - float64, row-major and contiguous unless a struct mlp_matrix says otherwise; inputs are never
 *   written;
 * - a status other than MLP_OK leaves the outputs and the network as they were, and only memory or
 *   sizes can cause one: the caller has validated shapes, names and values;
 * - the floating-point environment is set (round to nearest, no FTZ or DAZ) and restored on return;
 * - no global state but the pool of threads, no output, no abort: concurrent calls are safe as long
 *   as nobody writes the parameters meanwhile.
 *
 * It is long so that every contract is on one page. */
#ifndef MLP_H
#define MLP_H

#include <stddef.h>
#include <stdint.h>

enum mlp_status { MLP_OK = 0, MLP_NO_MEMORY, MLP_TOO_LARGE, MLP_STOPPED };

/* ---- names ---- */

/* What has a name is one row of a list here: X(identifier after MLP_, name outside C, ...). The enum and
 * the function that gives the i-th name follow from the list, and Python's tables from that function. */
#define MLP_IDENTIFIER(identifier, ...) MLP_##identifier,

#define MLP_ACTIVATIONS(X)                                                                         \
    X(IDENTITY, "identity")                                                                        \
    X(SIGMOID, "sigmoid")                                                                          \
    X(TANH, "tanh")                                                                                \
    X(RELU, "relu")                                                                                \
    X(SOFTMAX, "softmax")       /* output layer only */                                            \
    X(STEP, "step")             /* no derivative: predict and cost only */                         \
    X(LEAKY_RELU, "leaky_relu") /* z, or 0.01 z for z < 0 */                                       \
    X(ELU, "elu")               /* z, or exp(z) - 1 for z < 0 */                                   \
    X(SOFTPLUS, "softplus")     /* log(1 + exp(z)) */                                              \
    X(SILU, "silu")             /* z / (1 + exp(-z)) */                                            \
    X(GELU, "gelu")             /* z Phi(z), Phi the normal distribution */                        \
    X(EXPONENTIAL, "exp")                                                                          \
    X(MISH, "mish") /* z tanh(log(1 + exp(z))) */
enum mlp_activation { MLP_ACTIVATIONS(MLP_IDENTIFIER) };

/* Of one output a and its target y; a cost is the sum over outputs and instances. Cross-entropy goes
 * with softmax or one sigmoid unit, binary cross-entropy with sigmoids, Poisson with exponentials. */
#define MLP_LOSSES(X)                                                                              \
    X(SQUARED_ERROR, "squared_error") /* (a - y)^2 / 2 */                                          \
    X(CROSS_ENTROPY, "cross_entropy")                                                              \
    X(BINARY_CROSS_ENTROPY, "binary_cross_entropy")                                                \
    X(ABSOLUTE_ERROR, "absolute_error") /* |a - y| */                                              \
    X(HUBER, "huber")       /* (a - y)^2 / 2, or d (|a - y| - d / 2) from |a - y| = d on */        \
    X(QUANTILE, "quantile") /* tau (y - a) for y > a, else (1 - tau) (a - y) */                    \
    X(POISSON, "poisson")   /* a - y log(a) */
enum mlp_loss { MLP_LOSSES(MLP_IDENTIFIER) };

/* Of mlp_vector_math. */
#define MLP_FUNCTIONS(X)                                                                           \
    X(EXP, "exp")                                                                                  \
    X(LOG, "log")                                                                                  \
    X(TANH_FUNCTION, "tanh")                                                                       \
    X(SIGMOID_FUNCTION, "sigmoid")                                                                 \
    X(LOG1P_EXP, "log1p_exp")           /* log(1 + exp(-|x|)) */                                   \
    X(EXPM1_NEGATIVE, "expm1_negative") /* exp(-|x|) - 1 */                                        \
    X(SOFTPLUS_FUNCTION, "softplus")                                                               \
    X(SILU_FUNCTION, "silu")                                                                       \
    X(SILU_DERIVATIVE, "silu_derivative")                                                          \
    X(GELU_FUNCTION, "gelu")                                                                       \
    X(GELU_DERIVATIVE, "gelu_derivative")                                                          \
    X(MISH_FUNCTION, "mish") /* z tanh(log(1 + exp(z))) */                                         \
    X(MISH_DERIVATIVE, "mish_derivative")
enum mlp_function { MLP_FUNCTIONS(MLP_IDENTIFIER) };

/* How a fit improves the parameters: X(identifier, name, group, shared). The solver's options are the
 * fields of struct mlp_<group>, which is the member <group> of struct mlp_fit_options, and the shared
 * ones that MLP_<shared>_OPTIONS lists. */
#define MLP_SOLVERS(X)                                                                             \
    X(GRADIENT_DESCENT, "gradient_descent", descent, BATCH)                                        \
    X(ADAM, "adam", adam, BATCH)                                                                   \
    X(RPROP, "rprop", rprop, NO)                                                                   \
    X(LEVENBERG_MARQUARDT, "levenberg_marquardt", levenberg, NO)                                   \
    X(LBFGS, "lbfgs", lbfgs, NO)                                                                   \
    X(SCG, "scg", scg, NO)                                                                         \
    X(QUICKPROP, "quickprop", quickprop, NO)
enum mlp_solver { MLP_SOLVERS(MLP_IDENTIFIER) };

/* The learning rate alpha_e of epoch e = 1, 2, .. from the solver's own, alpha. MLP_COSINE: alpha e /
 * (warmup + 1) up to e = warmup; then, with i = e - 1 - warmup and n = epochs - warmup, minimum + (alpha
 * - minimum) (1 + cos(pi i / n)) / 2 for i < n, and minimum from i = n on. MLP_PLATEAU: at first alpha;
 * times factor, but at least minimum, after more than `epochs` epochs in a row whose cost was not below
 * the lowest by threshold times its size. */
#define MLP_SCHEDULES(X)                                                                           \
    X(CONSTANT, "constant")               /* alpha */                                              \
    X(INVERSE_SCALING, "inverse_scaling") /* alpha / e^power */                                    \
    X(STEPWISE, "stepwise")               /* alpha factor^floor((e - 1) / epochs) */               \
    X(COSINE, "cosine")                                                                            \
    X(PLATEAU, "plateau")
enum mlp_schedule_kind { MLP_SCHEDULES(MLP_IDENTIFIER) };

/* How the damping mu of MLP_LEVENBERG_MARQUARDT follows the steps' success: by fixed factors (Hagan
 * and Menhaj 1994), by the gain ratio (Nielsen 1999), or from the radius of a trust region (More
 * 1978). */
#define MLP_DAMPING_RULES(X)                                                                       \
    X(FIXED, "fixed")                                                                              \
    X(NIELSEN, "nielsen")                                                                          \
    X(TRUST_REGION, "trust_region")
enum mlp_damping { MLP_DAMPING_RULES(MLP_IDENTIFIER) };

/* Why mlp_fit_run returns. */
#define MLP_EVENTS(X)                                                                              \
    X(PAUSED, "paused")       /* the work budget is used up: call again to go on */                \
    X(EPOCH, "epoch")         /* epoch `until` is complete, or the history is full: call again */  \
    X(CONVERGED, "converged") /* |C - C_prev| < tol */                                             \
    X(GOAL, "goal")           /* C <= goal */                                                      \
    X(DIVERGED, "diverged")   /* C or w not finite: the last epoch's start has been restored */    \
    X(OWN, "own")             /* a rule of the solver's own: mlp_fit_report.reason names it */     \
    X(PATIENCE, "patience")   /* the validation cost has not fallen for too many epochs */
enum mlp_event { MLP_EVENTS(MLP_IDENTIFIER) };

/* The i-th name, whose enumerator has the value i; NULL past the end. Cannot fail. */
const char *mlp_activation_name(size_t i);
const char *mlp_loss_name(size_t i);
const char *mlp_function_name(size_t i);
const char *mlp_solver_name(size_t i);
const char *mlp_schedule_name(size_t i);
const char *mlp_damping_name(size_t i);
const char *mlp_event_name(size_t i);

/* ---- arrays and random streams ---- */

enum mlp_dtype {
    MLP_FLOAT64 = 0,
    MLP_FLOAT32,
    MLP_INT8,
    MLP_INT16,
    MLP_INT32,
    MLP_INT64,
    MLP_UINT8,
    MLP_UINT16,
    MLP_UINT32,
    MLP_UINT64
};

/* What the elements of an array are. */
enum mlp_kind {
    MLP_VALUES = 0,
    MLP_LABELS, /* class indices 0..columns-1 (n,), which stand for their one-hot rows */
    /* Targets of which some are missing, NaN: their outputs have no loss, and no part in the gradient. A
     * softmax layer's are all there or all missing. */
    MLP_GAPS,
    /* Instead of targets the caller's own derivatives by the outputs, dC/da^(L), as he has these. The loss of
     * all instances counts as 0. */
    MLP_SLOPES
};

/* Rows that do not all lie in memory at a time: the arrays of instances, of their targets and of their
 * weights are then those of `places` rows, and of these rows first .. end - 1 of all n lie in places
 * at .. at + end - first - 1.
 *
 * next(context, row) makes row number `row`, and as many behind it as it likes, lie there, and sets the numbers
 * above; what lay there before is gone. It returns 0, or else where there is no such row: the call then ends
 * without a result, as do those after it. It is called in the thread of the caller of the core alone, and rows are
 * asked for in ascending order from 0 on, over and over. */
struct mlp_blocks {
    int (*next)(void *context, size_t row);
    void *context;
    size_t first, end, at, places;
};

/* An array of instances as the caller has it: element (i, j) of the given type lies at
 * data + i row_stride + j column_stride (bytes, any sign). Rows are converted to float64, and scaled, a
 * chunk at a time; C-contiguous float64 that is not scaled is used where it lies.
 *
 * With starts != NULL it is a CSR matrix: row i is 0 but for the float64 values data[t] in columns places[t]
 * < columns, which ascend, starts[i] <= t < starts[i + 1]. Its values are as the layers are to see them, scaled
 * already. mlp_predict, C and its gradient, and passes of fits and trainers leave out what is 0, with the
 * same bits; all other calls fill in a chunk of rows at a time. Targets and weights are no CSR matrices. */
struct mlp_matrix {
    const char *data;
    ptrdiff_t row_stride, column_stride;
    size_t columns;
    enum mlp_dtype dtype;
    enum mlp_kind kind;
    /* (columns,) each, or NULL: an element that is no label stands for (itself - offset_j) / scale_j. */
    const double *offset, *scale;
    /* NULL, or the rows that this array is: row i of it lies in place rows[i]. */
    const size_t *rows;
    const int64_t *starts;
    const uint32_t *places;
    /* Of instances of fits and of mlp_evaluation_new: NULL, or where n rows of them come from, of their targets and
     * weights as well. */
    struct mlp_blocks *blocks;
};

/* The words of a Philox4x64-10 stream: word number `position` is the next to be drawn. */
struct mlp_stream {
    uint64_t key[2];
    uint64_t position;
};

/* ---- variants of the kernels ---- */

struct mlp_kernels;

/* The i-th variant compiled in, best first; NULL past the end. Cannot fail. */
const struct mlp_kernels *mlp_isa(size_t i);
const char *mlp_isa_name(const struct mlp_kernels *kernels);
/* Whether this processor and operating system can execute it. */
int mlp_isa_supported(const struct mlp_kernels *kernels);
/* The best supported variant. Cannot fail: the baseline runs everywhere. */
const struct mlp_kernels *mlp_isa_best(void);

/* y_i <- f(x_i), i < n. Cannot fail. */
void mlp_vector_math(const struct mlp_kernels *kernels, enum mlp_function f, size_t n,
                     const double *x, double *y);

/* ---- the network ---- */

struct mlp_network;

/* A network of the given layers (m^(0)..m^(L), all >= 1, L >= 1) and activations (L of them,
 * g^(1)..g^(L)). It holds no parameters until mlp_network_set_parameters. MLP_TOO_LARGE when P or a
 * size in bytes overflows. */
enum mlp_status mlp_network_new(struct mlp_network **network, const struct mlp_kernels *kernels,
                                size_t n_layers, const size_t *layers,
                                const enum mlp_activation *activations, enum mlp_loss loss);
void mlp_network_free(struct mlp_network *network);
size_t mlp_network_n_parameters(const struct mlp_network *network);
/* d of the Huber loss, 1 unless this is called, or tau of the quantile's, 0.5. */
void mlp_network_set_loss_parameter(struct mlp_network *network, double parameter);
/* From now on every hidden layer as wide as the layer before it, inputs included, is skipped: a^(l) =
 * g(z^(l)) + a^(l-1). Returns how many there are. */
size_t mlp_network_set_residual(struct mlp_network *network);
/* The P parameters, owned by the caller, who keeps them alive. */
void mlp_network_set_parameters(struct mlp_network *network, double *parameters);
/* Where the caller keeps the scaling (MLP_SCALING(m^(0), m^(L)),), which he may change between calls:
 *     whether inputs and whether outputs are scaled, 0 or not (2,),
 *     offsets and scales > 0 of the inputs, 2 (m^(0),), then of the outputs, 2 (m^(L),).
 * The layers then see (x - offset) / scale, and what they give for a is a scale + offset to the caller.
 * All x, y, a^(L) and derivatives of a^(L) and by x are the caller's; z^(L), C and its gradient by the
 * parameters are the layers'. A fit takes the scaling that there is when it begins. */
#define MLP_SCALING(m_in, m_out) (2 + 2 * (m_in) + 2 * (m_out))
void mlp_network_set_scaling(struct mlp_network *network, const double *scaling);
/* Instances per chunk and thread, and the multiply-adds from which another thread is worth waking; 0
 * lets the network choose. Tuning only: no result depends on them. */
void mlp_network_set_tuning(struct mlp_network *network, size_t chunk, double grain);
/* NULL, or what mlp_predict and mlp_input_gradient ask every 50 ms, in the thread that called them and with the
 * caller's floating-point state. Where the answer is not 0 they return MLP_STOPPED soon after, with results
 * that are not complete. */
void mlp_network_set_poll(struct mlp_network *network, int (*poll)(void));
/* Another variant of the kernels from now on; nothing of the network may be at work. */
void mlp_network_set_kernels(struct mlp_network *network, const struct mlp_kernels *kernels);

/* out (n, m^(L)) <- a^(L), or z^(L) when linear != 0. out must not overlap x. Here and below
 * n_threads >= 1 is the most that are used; fewer, where more would not pay or others have them. */
enum mlp_status mlp_predict(const struct mlp_network *network, const struct mlp_matrix *x, size_t n,
                            int linear, size_t n_threads, double *out);

/* Whether n instances are worth more than one thread. */
int mlp_predict_shares(const struct mlp_network *network, size_t n);

/* out (m^(L),) <- a^(L) of one instance x (m^(0),): mlp_predict's bits for n = 1. Allocates nothing,
 * and so cannot fail, while no layer l >= 1 has more than 256 units, nor the inputs if they are scaled. */
enum mlp_status mlp_predict_row(const struct mlp_network *network, const double *x, double *out);

/* What the function pointers below take as their last argument: the network's layout and memory for
 * n instances. The parameters are not copied but read at each call, and must outlive the predictor;
 * the network itself need not. One call at a time; several predictors of one network can be called
 * at once. */
struct mlp_predictor;

/* n >= 1. owner is the caller's own, for mlp_predictor_owner. */
enum mlp_status mlp_predictor_new(struct mlp_predictor **predictor,
                                  const struct mlp_network *network, size_t n, void *owner);
void mlp_predictor_free(struct mlp_predictor *predictor);
void *mlp_predictor_owner(const struct mlp_predictor *predictor);
/* y (n, m^(L)) <- a^(L) of x (n, m^(0)), which y must not overlap; mlp_predict's bits. Allocates
 * nothing. Cannot fail. */
void mlp_predictor_call(const double *x, double *y, void *predictor);
/* a^(L) of one instance x (m^(0),), for predictors with n = m^(L) = 1; NaN unless count is m^(0).
 * x is not written. Cannot fail. */
double mlp_predictor_scalar(int count, double *x, void *predictor);

/* What is minimised beside the network's own loss of each instance:
 *     C = sum_i s_i loss_i + l1 sum |w| + l2/2 sum w^2
 * over all weights w, which biases are not, and in training the probabilities (L - 1,) with which the
 * units of each hidden layer are dropped; all of it is 0 or NULL for the plain sum. */
struct mlp_problem {
    const struct mlp_matrix *weights; /* s (n, 1), at least 0; NULL: all 1 */
    double l1, l2;
    const double *dropout; /* of fits and trainers; in [0, 1) */
};

/* a[l-1] (n, m^(l)) <- a^(l) for l = 1..L. */
enum mlp_status mlp_activations(const struct mlp_network *network, const struct mlp_matrix *x,
                                size_t n, double *const *a);

/* cost <- C of the problem and, unless gradient is NULL, gradient (P,) <- dC/d(parameters). n >= 1; no
 * step units when a gradient is asked for; dropout is not read. y may be MLP_SLOPES, here and in the next
 * function alone; then weights may have either sign. */
enum mlp_status mlp_objective(const struct mlp_network *network, const struct mlp_problem *problem,
                              const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                              size_t n_threads, double *cost, double *gradient);

/* mlp_objective in parts, between which the caller may look after signals. What it is given must
 * outlive the evaluation. */
struct mlp_evaluation;
enum mlp_status mlp_evaluation_new(struct mlp_evaluation **evaluation,
                                   const struct mlp_network *network,
                                   const struct mlp_problem *problem, const struct mlp_matrix *x,
                                   const struct mlp_matrix *y, size_t n, size_t n_threads,
                                   double *gradient);
/* About `work` multiply-adds of it; 1 when *cost and the gradient are complete, which they are not
 * before. Cannot fail. */
int mlp_evaluation_advance(struct mlp_evaluation *evaluation, double work, double *cost);
void mlp_evaluation_free(struct mlp_evaluation *evaluation);

/* ---- instances in pieces ---- */

/* What is summed up over instances: C; C and its gradient; J^T e and J^T J of MLP_LEVENBERG_MARQUARDT. */
enum mlp_sum { MLP_SUM_COST = 0, MLP_SUM_GRADIENT, MLP_SUM_JACOBIAN };

/* A sum over n instances is made of chains: number c of `chains` has the instances from mlp_chain_begin(n,
 * chains, c) on, one after the other, and the chains are added up in a binary tree: neighbours, then neighbours
 * of neighbours. How many there are is a function of n and P alone, a power of 2, so that everybody who has
 * some of the instances can do his part, and the whole has the same bits. */
size_t mlp_chains(const struct mlp_network *network, enum mlp_sum kind, size_t n);
size_t mlp_chain_begin(size_t n, size_t chains, size_t chain);
/* Doubles of a chain that is not complete: 16 of the cost, the gradient (P,); or J^T e (P,), the upper triangle
 * of J^T J, row by row. And of a node, the sum of some chains: the cost as two numbers whose sum it is, the
 * gradient; or the same as before. 0 when that overflows. */
size_t mlp_chain_size(const struct mlp_network *network, enum mlp_sum kind);
size_t mlp_node_size(const struct mlp_network *network, enum mlp_sum kind);
/* to (size,) <- to + from, of nodes. Cannot fail. */
void mlp_node_add(const struct mlp_network *network, enum mlp_sum kind, const double *from,
                  double *to);

/* A piece of the instances: number begin .. begin + rows - 1 of n, and what its sums need. */
struct mlp_piece;
/* Rows 0 .. rows - 1 of x, y and the problem's weights, whose penalty is not read. What it is given must outlive
 * the piece, but for the network. */
enum mlp_status mlp_piece_new(struct mlp_piece **piece, const struct mlp_network *network,
                              const struct mlp_problem *problem, const struct mlp_matrix *x,
                              const struct mlp_matrix *y, size_t n, size_t begin, size_t rows,
                              size_t n_threads);
void mlp_piece_free(struct mlp_piece *piece);
/* Begins with C, or C and its gradient, at parameters (P,), which are copied, with masks or NULL. `chain`: what the
 * instances before have left of the chain that the piece begins in the middle of; else NULL. */
enum mlp_status mlp_piece_start(struct mlp_piece *piece, enum mlp_sum kind,
                                const double *parameters, const struct mlp_stream *masks,
                                const double *chain);
/* About `work` multiply-adds of it; 1 when it is complete. Cannot fail. */
int mlp_piece_advance(struct mlp_piece *piece, double work);
/* Then: the chains that are complete, first .. last - 1, as the fewest nodes of the tree, each as large as can
 * be: node i is `count` [i] chains from `begin` [i] on. Returns how many, at most MLP_MAX_NODES; *open <- whether
 * there is a chain besides that is not complete. They depend on no sum. */
#define MLP_MAX_NODES 12
size_t mlp_piece_nodes(const struct mlp_piece *piece, enum mlp_sum kind,
                       size_t begin[MLP_MAX_NODES], size_t count[MLP_MAX_NODES], int *open);
/* nodes (how many, size of a node), chain (size of a chain,) <- them, unless NULL. Cannot fail. */
void mlp_piece_read(const struct mlp_piece *piece, double *nodes, double *chain);

/* What a fit asks of whoever has the instances that are elsewhere. */
struct mlp_request {
    enum mlp_sum kind;
    int validation;                 /* over the instances of mlp_fit_validate */
    const double *parameters;       /* (P,) where it is evaluated */
    size_t n;                       /* how many */
    const size_t *order;            /* (n,) of a mini-batch: which */
    size_t begin;                   /* without an order: from this one on */
    const struct mlp_stream *masks; /* of dropout, or NULL */
};
/* The caller of a fit over instances that are elsewhere. Both functions return 0 where they fail: then the fit
 * pauses, and asks again when it is called again. */
struct mlp_elsewhere {
    /* The node of all chains: of the kinds of MLP_SUM_COST and MLP_SUM_GRADIENT the cost (2,) and the gradient
     * (P,), or NULL; of MLP_SUM_JACOBIAN the node in `gradient`, and cost is NULL. */
    int (*sum)(void *context, const struct mlp_request *request, double *cost, double *gradient);
    /* *x, *y and *weights, where there are any, <- rows, at least n of them, of instances order[begin] .., or
     * begin .. without an order; *rows <- how many. They are read until this is called again. */
    int (*rows)(void *context, const size_t *order, size_t begin, size_t n, struct mlp_matrix *x,
                struct mlp_matrix *y, struct mlp_matrix *weights, size_t *rows);
    void *context;
    double
        observed; /* of MLP_LEVENBERG_MARQUARDT: targets that are there, of instances with weights above 0 */
};

/* out (n, m^(L), P) <- d a^(L)_k / d parameters, or with `inputs` (n, m^(L), m^(0)) <- d a^(L)_k / d
 * a^(0). No step units. */
enum mlp_status mlp_jacobian(const struct mlp_network *network, const struct mlp_matrix *x,
                             size_t n, int inputs, double *out);

/* gradient (n, m^(0)) <- dC/dx, the instances' rows of it one by one, with the weights of a problem.
 * n >= 1; no step units. */
enum mlp_status mlp_input_gradient(const struct mlp_network *network, const struct mlp_matrix *x,
                                   const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                   size_t n, size_t n_threads, double *gradient);

/* What a scaling is made of, added up over n more rows: those of x whose weights (n, 1) are above 0, all
 * if they are NULL. Of each column j: low and high, the least and the largest x_j so far; sum (2,
 * columns), sum_i (x_ij - centre_j) factor_j and then what rounding took of it; square (2, columns),
 * the same of the squares. centre and factor may be NULL for 0 and 1, square for nothing. Returns how
 * many rows these were. Cannot fail. */
size_t mlp_column_sums(const struct mlp_matrix *x, const struct mlp_matrix *weights, size_t n,
                       const double *centre, const double *factor, double *low, double *high,
                       double *sum, double *square);

/* *index <- i columns + j of the first element that is NaN or infinite, or n columns when there is
 * none. */
enum mlp_status mlp_find_nonfinite(const struct mlp_kernels *kernels, const struct mlp_matrix *x,
                                   size_t n, size_t *index);

/* ---- training ---- */

/* The options of each solver, and of schedules, are lists too, of O(at, type, name). The fields of the
 * structs follow from them, and the names that mlp_option_set knows; `at` is passed on to O. */
#define MLP_FIELD(at, type, name) type name;

/* Gradient descent: plain, w <- w - alpha g; with momentum mu > 0, v <- mu v - alpha g and w <- w +
 * v; Nesterov's form, w <- w + mu v - alpha g with the new v. */
#define MLP_GRADIENT_DESCENT_OPTIONS(O, at)                                                        \
    O(at, double, learning_rate)                                                                   \
    O(at, double, momentum)                                                                        \
    O(at, int, nesterov)

/* Adam and, with weight_decay lambda > 0, AdamW: step t is m <- beta1 m + (1 - beta1) g,
 * v <- beta2 v + (1 - beta2) g^2 and w <- (1 - alpha lambda) w - alpha m' / (sqrt(v') + epsilon)
 * with m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t). With raw_epsilon != 0 epsilon is added to
 * sqrt(v), before that is divided by sqrt(1 - beta2^t). */
#define MLP_ADAM_OPTIONS(O, at)                                                                    \
    O(at, double, learning_rate)                                                                   \
    O(at, double, beta1)                                                                           \
    O(at, double, beta2)                                                                           \
    O(at, double, epsilon)                                                                         \
    O(at, double, weight_decay)                                                                    \
    O(at, int, raw_epsilon)

/* iRPROP- or, with plus != 0, iRPROP+; full batches. */
#define MLP_RPROP_OPTIONS(O, at)                                                                   \
    O(at, double, eta_plus)                                                                        \
    O(at, double, eta_minus)                                                                       \
    O(at, double, delta_0)                                                                         \
    O(at, double, delta_min)                                                                       \
    O(at, double, delta_max)                                                                       \
    O(at, int, plus)

/* Steps s of (J^T J + mu D^2) s = -J^T e, with D = I or, with `diagonal`, D_j the largest norm that
 * column j of J has had. `geodesic`: with the second-order correction; squared error only. `bayesian`: F
 * = beta E_D + alpha E_W is minimised, with alpha and beta estimated; squared error, the fixed rule and D
 * = I only. `damping` is the first mu, for MLP_NIELSEN as a factor of max D^2, and for MLP_TRUST_REGION
 * the first radius, in norms of D w. MLP_FIXED multiplies mu by `decrease` after a success, `increase`
 * after a failure. "max_damping" is the end where mu exceeds `max_damping` max(1, max diagonal of J^T J / D^2). */
#define MLP_LEVENBERG_MARQUARDT_OPTIONS(O, at)                                                     \
    O(at, enum mlp_damping, rule)                                                                  \
    O(at, int, diagonal)                                                                           \
    O(at, int, geodesic)                                                                           \
    O(at, int, bayesian)                                                                           \
    O(at, double, damping)                                                                         \
    O(at, double, decrease)                                                                        \
    O(at, double, increase)                                                                        \
    O(at, double, max_damping)                                                                     \
    O(at, double, min_gradient)

/* Limited-memory BFGS with the last `memory` >= 1 pairs. A step alpha along the direction d satisfies
 * C(alpha) <= C(0) + c1 alpha C'(0) and |C'(alpha)| <= c2 |C'(0)|, 0 < c1 < c2 < 1, unless
 * max_evaluations >= 1 of C and its gradient find none. Its own reasons: "min_gradient", once the
 * Euclidean norm of the gradient is at most that, and "line_search" where no step decreases C. */
#define MLP_LBFGS_OPTIONS(O, at)                                                                   \
    O(at, size_t, memory)                                                                          \
    O(at, size_t, max_evaluations)                                                                 \
    O(at, double, c1)                                                                              \
    O(at, double, c2)                                                                              \
    O(at, double, min_gradient)

/* Scaled conjugate gradients: the distance sigma > 0 over which the curvature is measured, and the
 * first lambda > 0. Its own reasons: "min_gradient" and "max_lambda", where no step decreases C. */
#define MLP_SCG_OPTIONS(O, at)                                                                     \
    O(at, double, sigma)                                                                           \
    O(at, double, lambda)                                                                          \
    O(at, double, min_gradient)

/* Quickprop: each parameter steps to the minimum of the parabola through its last two slopes, s = dC/dw +
 * decay w, at most `mu` > 0 times as far as before, plus -epsilon s while it goes on downhill; epsilon = 0
 * stands for 0.7 / sum s_i, which is 0.7 / n without weights. */
#define MLP_QUICKPROP_OPTIONS(O, at)                                                               \
    O(at, double, epsilon)                                                                         \
    O(at, double, mu)                                                                              \
    O(at, double, decay)

/* Of mini-batches: which rows a permutation mixes: none, all n, or each MLP_SHUFFLED(m^(0)) that follow each
 * other, by their part of a stream of the epoch's own: random.c has the rule. */
enum mlp_shuffle { MLP_IN_ORDER = 0, MLP_SHUFFLE, MLP_SHUFFLE_BLOCKS };
#define MLP_SHUFFLED(m_in)                                                                         \
    ((m_in) <= 64 ? (size_t)65536 : (m_in) <= 16384 ? (size_t)4194304 / (m_in) : (size_t)256)

/* What several solvers share, as MLP_SOLVERS says. */
#define MLP_BATCH_OPTIONS(O, at)                                                                   \
    O(at, size_t, batch_size) /* 0: all n instances in one step */                                 \
    O(at, int, shuffle)       /* a new permutation each epoch, from the stream: see MLP_SHUFFLE */ \
    O(at, double, clip_norm)  /* the gradient's largest Euclidean norm; 0: none */                 \
    O(at, double, clip_value) /* each element's largest size; 0: none */
#define MLP_NO_OPTIONS(O, at)

/* See MLP_SCHEDULES. */
#define MLP_SCHEDULE_OPTIONS(O, at)                                                                \
    O(at, double, power)                                                                           \
    O(at, double, factor)                                                                          \
    O(at, double, minimum)                                                                         \
    O(at, double, threshold)                                                                       \
    O(at, size_t, epochs)                                                                          \
    O(at, size_t, warmup)
struct mlp_schedule {
    enum mlp_schedule_kind kind;
    MLP_SCHEDULE_OPTIONS(MLP_FIELD, )
};

#define MLP_STRUCT(identifier, name, group, shared)                                                \
    struct mlp_##group {                                                                           \
        MLP_##identifier##_OPTIONS(MLP_FIELD, )                                                    \
    };
MLP_SOLVERS(MLP_STRUCT)

#define MLP_GROUP(identifier, name, group, shared) struct mlp_##group group;
struct mlp_fit_options {
    /* Its weights are of the fit's n instances; a mini-batch of b of them carries b / n of the
     * penalty. Dropout only with MLP_GRADIENT_DESCENT and MLP_ADAM, no l1 with
     * MLP_LEVENBERG_MARQUARDT, no penalty with its `bayesian`. */
    struct mlp_problem problem;
    double tol, goal; /* goal = -infinity: none */
    /* Epochs after which it is over, those of what it resumes included, and mlp_fit_run is not called
     * again; 0: nobody knows. Of the last one methods that step along the gradient of a full batch
     * evaluate C alone. */
    size_t most;
    size_t n_threads;
    struct mlp_stream stream;
    /* Of mini-batches: the order (n,) of the rows in each epoch, which is read while it is under way
     * and may be changed between two; NULL: as they stand or, with `shuffle`, a permutation. */
    const size_t *order;
    /* Of mini-batches without clipping: each one's objective is its mean, (sum_i s_i loss_i + the whole
     * penalty) / sum_i s_i, and an epoch's cost the sum over its batches of their number of rows times
     * that. Nothing is learned from a batch whose weights are all 0. */
    int mean;
    const struct mlp_elsewhere
        *elsewhere; /* NULL, or where the instances are; it must outlive the fit */
    enum mlp_solver solver;
    MLP_SOLVERS(MLP_GROUP)
    /* Of those that MLP_SOLVERS says BATCH of: */
    MLP_BATCH_OPTIONS(MLP_FIELD, )
    struct mlp_schedule schedule;
};

/* The option of that name of options->solver, or of a schedule, <- value, which is a whole number
 * where the option is. Returns 0 where there is no such option. (options.c) */
int mlp_option_set(struct mlp_fit_options *options, const char *name, double value);
int mlp_schedule_set(struct mlp_schedule *schedule, const char *name, double value);

struct mlp_trainer;

/* An array that a fit or a trainer remembers, where it lies. */
struct mlp_array {
    const char *name;
    double *data;
    size_t n;
};
#define MLP_MAX_ARRAYS 16

/* One update per call, on the instances of the call, by MLP_GRADIENT_DESCENT or MLP_ADAM; of the
 * options only the solver, its own, the clipping, the schedule, the stream and the problem's penalty, all of it in
 * each call, and dropout are read. The trainer keeps what the solver remembers. */
enum mlp_status mlp_trainer_new(struct mlp_trainer **trainer, struct mlp_network *network,
                                const struct mlp_fit_options *options, size_t n_threads);
void mlp_trainer_free(struct mlp_trainer *trainer);
/* cost <- C before the step, of instances with these weights (n, 1), or NULL; takes no step when that
 * cost is not finite. */
enum mlp_status mlp_trainer_step(struct mlp_trainer *trainer, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                 size_t n, double *cost);
/* The same with the data's gradient (P,) from the caller: the penalty's is added to it, it is clipped, and
 * the step taken, whatever it holds. Cannot fail. */
void mlp_trainer_apply(struct mlp_trainer *trainer, const double *gradient);
/* alpha of the next step. Setting it ends the options' schedule, whose epochs are the steps; not
 * MLP_PLATEAU. */
double mlp_trainer_rate(const struct mlp_trainer *trainer);
void mlp_trainer_set_rate(struct mlp_trainer *trainer, double rate);
/* Words drawn from the stream so far; the next step draws from another position on. */
uint64_t mlp_trainer_position(const struct mlp_trainer *trainer);
void mlp_trainer_set_position(struct mlp_trainer *trainer, uint64_t position);
/* arrays <- what it remembers, the network's parameters and the number of steps among it, and how
 * many arrays these are. Cannot fail. */
size_t mlp_trainer_describe(struct mlp_trainer *trainer, struct mlp_array arrays[MLP_MAX_ARRAYS]);
/* As mlp_fit_resume, from what mlp_trainer_describe gave of a trainer with the same options. */
const char *mlp_trainer_resume(struct mlp_trainer *trainer, const struct mlp_array *arrays,
                               size_t n);

/* What a fit has done so far. Read it between calls of mlp_fit_run. */
struct mlp_fit_report {
    size_t epochs;       /* complete ones */
    double initial_cost; /* C_0 (full batch), NaN with mini-batches */
    double cost;         /* of the last complete epoch, or C_0 */
    double
        gradient_norm; /* of the last gradient evaluated: before the step of an epoch number `most`
                           * that evaluates none; NaN if there is none, and after divergence */
    struct mlp_stream stream; /* after divergence, as it was at the epoch's start */
    const char *reason;       /* after MLP_OWN: its name, such as "min_gradient" */
    double validation;        /* C of its instances after the last complete epoch, or NaN */
    double best[2];           /* the lowest validation cost and the first epoch with it */
    size_t row; /* mlp_fit_row's, and where the stream was at the start of that epoch: */
    uint64_t epoch_position; /* 0 where no epoch is under way */
    size_t n_arrays;         /* of the state, "parameters" among them; none after divergence */
    struct mlp_array arrays[MLP_MAX_ARRAYS];
};

struct mlp_fit;

/* x, y and the network must outlive the fit. n >= 1, batch_size <= n. Instances that come in blocks are not
 * for options->order, options->mean, MLP_SHUFFLE and mlp_fit_replace; with MLP_SHUFFLE_BLOCKS their blocks begin
 * with a multiple of MLP_SHUFFLED(m^(0)), and end with one or the last row. */
enum mlp_status mlp_fit_new(struct mlp_fit **fit, struct mlp_network *network,
                            const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n,
                            const struct mlp_fit_options *options);
void mlp_fit_free(struct mlp_fit *fit);

/* After each epoch C over n >= 1 other instances is to be evaluated, with their weights (n, 1) or NULL
 * and without penalty and dropout. `best` is what it has to fall below, infinity or C of these
 * instances where the parameters are now, and the epoch when it did, counted from this fit's first.
 * With patience >= 1 the fit ends by MLP_PATIENCE, unless by another rule, after so many epochs in a
 * row that did not lower the lowest value so far, and mlp_fit_finish restores the parameters of the
 * first epoch that had this. Once, before the first mlp_fit_run; x and y must outlive the fit, which
 * is as it was on failure. Of a fit over instances that are elsewhere these may be there as well: then x and y
 * are NULL. */
enum mlp_status mlp_fit_validate(struct mlp_fit *fit, const struct mlp_matrix *x,
                                 const struct mlp_matrix *y, const struct mlp_matrix *weights,
                                 size_t n, size_t patience, const double best[2]);

/* What there is to know of each epoch, NaN where there is no such thing. Its time is that in calls of
 * mlp_fit_run; several epochs that one call of a kernel completes have equal shares, and the first
 * epoch also has what came before it. */
struct mlp_history {
    double *cost;       /* C: see mlp_fit_report */
    double *validation; /* C of mlp_fit_validate's instances after it */
    double *rate;       /* the learning rate of its steps */
    double *norm;       /* as gradient_norm, at its end */
    double *seconds;
};

/* Trains until epoch `until` is complete, a stopping rule fires, `capacity` epochs were recorded in
 * this call, or about `work` multiply-adds were spent. Elements 0 .. *recorded - 1 of the arrays of
 * `history`, which have room for `capacity`, <- the epochs that were completed. Between calls the
 * parameters are finite and those of the last complete step; after a pause inside a full batch the next call
 * goes on where this one stopped. Cannot fail. */
enum mlp_event mlp_fit_run(struct mlp_fit *fit, size_t until, double work, size_t capacity,
                           const struct mlp_history *history, size_t *recorded);
void mlp_fit_describe(struct mlp_fit *fit, struct mlp_fit_report *report);
/* Puts a new fit where another one of the same options, data and layers was when mlp_fit_describe
 * gave these arrays, after so many epochs; the options' stream is to be where that one's was. Both go
 * on with the same bits. Returns NULL, or the name of an array that is missing, has another size or
 * holds what such a fit cannot remember: the network is then as it was, and the fit to be freed. */
const char *mlp_fit_resume(struct mlp_fit *fit, const struct mlp_array *arrays, size_t n,
                           size_t epochs);
/* How many rows an epoch that is under way has learned from, where the fit is between two mini-batches, or,
 * taking steps along the gradient of all n instances (MLP_GRADIENT_DESCENT, MLP_ADAM, MLP_RPROP,
 * MLP_QUICKPROP), has taken the step, whose cost is not known yet; 0 anywhere else. Where it is not 0,
 * mlp_fit_describe's arrays are all that the rest of the epoch needs, and a new fit can go on there: */
size_t mlp_fit_row(struct mlp_fit *fit);
/* Whether mlp_fit_run also returns, with MLP_PAUSED, as soon as that is not 0; at first not. */
void mlp_fit_seek(struct mlp_fit *fit, int wanted);
/* Puts a new fit into an epoch of which `row` rows are done and at whose start the stream was at this
 * position. Call mlp_fit_resume next. Returns 0, and the fit is to be freed, where such a fit has no
 * such place. */
int mlp_fit_enter(struct mlp_fit *fit, size_t row, uint64_t epoch_position);
/* Words drawn from the stream so far. */
uint64_t mlp_fit_position(const struct mlp_fit *fit);

/* From outside, of mini-batches by MLP_GRADIENT_DESCENT or MLP_ADAM: */

/* The learning rate from now on; without a schedule. */
void mlp_fit_set_rate(struct mlp_fit *fit, double rate);
/* Goes on with n >= 1 other instances, their weights or NULL, and an order of theirs or NULL; without
 * `shuffle`, and mlp_fit_finish must not be called. They must outlive the fit. Returns 0, and nothing
 * has changed, while an epoch is under way. */
int mlp_fit_replace(struct mlp_fit *fit, const struct mlp_matrix *x, const struct mlp_matrix *y,
                    const struct mlp_matrix *weights, size_t n, const size_t *order);

/* Evaluations of C over all instances so far, and the largest |dC/dw| of the last one, NaN if its
 * gradient is not kept. */
size_t mlp_fit_evaluations(const struct mlp_fit *fit);
double mlp_fit_largest_gradient(const struct mlp_fit *fit);
/* Whether mlp_fit_describe's cost is C of the parameters as they are, and no epoch waits for its
 * validation: then a fit by MLP_LBFGS, MLP_SCG or MLP_LEVENBERG_MARQUARDT can end between any two calls
 * of mlp_fit_run. */
int mlp_fit_settled(const struct mlp_fit *fit);

/* What the targets of a fit ask for, by a sample of at most 1,000 instances, of which those of weight 0 do not
 * count: the least and the largest of them; scaled up, the least that C can be and C where each output is the
 * mean of its targets. `vanishing`: both are 0, though the targets of an output vary as the caller has them: by
 * so little that the squares are 0, or by less than a scaling can tell apart. */
struct mlp_target_survey {
    double lowest, highest, least, mean;
    int vanishing;
};
/* What a network is after a fit, by such a sample. `saturated` is the first layer, from 1, all of whose units
 * have |g'(z)| < 1e-4 for all instances, 0 where there is none; the last one counts where it is bounded and
 * the loss has no matching derivative. `constant`: all instances have the same outputs, up to 1e-6 of what
 * their targets differ by. `vary`: inputs and targets do. */
struct mlp_health {
    size_t saturated;
    int constant, vary;
};
/* Takes the sample from these k instances instead, which are spread evenly over all n; of rows that come in blocks,
 * before the two functions below. They must outlive the fit. */
void mlp_fit_sample(struct mlp_fit *fit, const struct mlp_matrix *x, const struct mlp_matrix *y,
                    const struct mlp_matrix *weights, size_t k);
enum mlp_status mlp_fit_targets(struct mlp_fit *fit, struct mlp_target_survey *targets);
enum mlp_status mlp_fit_health(struct mlp_fit *fit, struct mlp_health *health);

/* The end: with patience the best epoch's parameters are restored, if there is one; then C over all
 * instances and over mlp_fit_validate's (NaN: none), by about `work` multiply-adds a call; 1 when *cost
 * and *validation hold them. No training after the first call. Cannot fail. */
int mlp_fit_finish(struct mlp_fit *fit, double work, double *cost, double *validation);

/* ---- random numbers: rules in random.c. Cannot fail. ---- */

/* out (n,) <- Unif[-limit, limit], limit^2 = numerator / denominator: the root is taken here, out
 * of reach of the caller's rounding mode. */
void mlp_random_uniform(struct mlp_stream *stream, double numerator, double denominator, size_t n,
                        double *out);
/* out (n,) <- Unif[low, high]: low + (high - low) u */
void mlp_random_range(struct mlp_stream *stream, double low, double high, size_t n, double *out);
/* Nguyen and Widrow's start of a layer: v (m_in, m_out) <- Unif[-1, 1]; w_j'j <- beta v_j'j / |v_j|,
 * |v_j|^2 = sum over ascending j' of v_j'j^2; then b (m_out,) <- Unif[-beta, beta]. */
void mlp_random_nguyen_widrow(struct mlp_stream *stream, double beta, size_t m_in, size_t m_out,
                              double *w, double *b);
/* out (n,) <- normal, mean 0, variance numerator / denominator, by Marsaglia's polar method */
void mlp_random_normal(struct mlp_stream *stream, const struct mlp_kernels *kernels,
                       double numerator, double denominator, size_t n, double *out);
/* order (n,) <- a random permutation of 0..n-1 */
void mlp_random_permutation(struct mlp_stream *stream, size_t n, size_t *order);
/* The same in portions, from order = 0..n-1 and left = n on, by Fisher and Yates's shuffle from the end: settles
 * up to `most` of the first `left` entries; returns how many are left, 1 or 0 at the end. */
size_t mlp_random_shuffle(struct mlp_stream *stream, size_t left, size_t most, size_t *order);
/* Two words of the stream, as the key of another one. */
void mlp_random_key(struct mlp_stream *stream, uint64_t key[2]);
/* order (n,) <- place + i for rows first + i, which begin with a multiple of `size`, permuted within each `size` of
 * them as this key and the number of these rows' block say. */
void mlp_random_blocks(const uint64_t key[2], size_t size, size_t first, size_t place, size_t n,
                       size_t *order);

#endif
