/* gauss_newton.h - the linear systems of Levenberg and Marquardt's method: J, A = J^T J and the gradient,
 * from a sweep over the instances, and the step that a damping gives.
 *
 * J is never stored beyond a chunk. With fewer residuals R = n m^(L) than parameters J^T (P, R) is,
 * and the same routines work on K = J J^T (R, R): s = -J^T (K + mu I)^-1 e.
 *
 * For the cross-entropies J and e stand for S^T dz/dw and S^-1 (a - y), where S S^T is the Hessian of
 * the cost by z: a (1 - a), or diag(a) - a a^T with the columns sqrt(a_k) (e_k - a). Hence
 * J^T e is the gradient for every loss and J^T J the generalised Gauss-Newton matrix. */
#ifndef MLP_GAUSS_NEWTON_H
#define MLP_GAUSS_NEWTON_H

#include "training/epoch.h"
#include "training/symmetric.h"

/* What a multiply-add of a large product counts in fit->work, which is to be about as many of them
 * for the same time everywhere: they run at 60 GFLOP/s and more, backward passes of few units and
 * triangular solves at a tenth of that. */
#define MLP_PRODUCT 0.125

/* Chains of the sums over many instances: few, as each that waits to be added up is as large as A; and
 * how many nodes of their tree there are at once. */
#define MLP_SWEEP_CHAINS ((size_t)8)
#define MLP_SWEEP_NODES 5
size_t mlp_gauss_newton_chains(size_t n);
/* Doubles of a node; 0 when that overflows. */
size_t mlp_gauss_newton_node(size_t n_parameters);

/* What an iteration is at: the cost of the start, the sweep of J, J^T J of a chunk, the factor, the
 * correction of the step, the cost of where it leads. */
enum mlp_stage { FIRST, SWEEP, GRAM, FACTOR, ACCELERATE, TRIAL };

struct mlp_gauss_newton {
    enum mlp_stage stage;
    int passing; /* a pass is under way */
    int dual;
    size_t R, P;
    double observed;           /* errors of instances whose weight is not 0 */
    size_t j_row;              /* doubles between rows of J */
    size_t chunk;              /* instances in a chunk of it */
    struct mlp_network *trial; /* the network with parameters of its own: `start` + step */
    struct mlp_symmetric s;
    double *memory;
    double *j;        /* (chunk m^(L), j_row) */
    double *e;        /* (R,) with `dual`, else a chunk's */
    double *jt;       /* with `dual`: J^T, D^-1 J^T once it is complete (P, s.row) */
    double *a, *u;    /* (N, s.row) the matrix, its factor */
    double *inverse;  /* (N, s.row) with Bayesian regularisation: U^-T */
    double *gradient; /* (P,) */
    double *d2;       /* (P,) D^2 */
    double *step, *parameters, *work; /* (P,), (P,), (max(P, N),) */
    double *end_parameters[2];
    struct mlp_network *ends[2]; /* with geodesic acceleration: the networks ahead and behind */
    /* The sweep's chains, of which each is a sum of its own, and the one that is under way: its next instance,
     * where it ends, and whether it has none yet. */
    size_t chains, chain, row, end;
    int fresh;
    /* With several: what is complete, as nodes of the tree of chains, `count` chains from `begin` on. */
    size_t node; /* doubles of one: the gradient, the upper triangle of A row by row */
    size_t n_nodes;
    struct {
        size_t begin, count;
    } nodes[MLP_SWEEP_NODES];
    double *sums;       /* (MLP_SWEEP_NODES, node) */
    size_t terms, gram; /* rows of J that A is to take in, the row of A where that goes on */
    int first;          /* they are the first ones */
    size_t factored;    /* rows of the factor */
    double mu, nu;
    double largest;   /* max A_pp / D_p^2 */
    double radius;    /* of the trust region; 0: not known yet */
    double low, high; /* bounds of its mu */
    int searches;     /* factors for this radius */
    double predicted; /* decrease of C by the model */
    double size;      /* ||D s|| of the step without its correction */
    double alpha, beta, gamma;
    double objective; /* F at the iteration's start */
};

/* The sizes, and all arrays in one block, m->memory. */
enum mlp_status mlp_gauss_newton_new(struct mlp_fit *fit, struct mlp_gauss_newton *m);

/* A chunk of the instances, from m->row on, in parts. */
struct mlp_sweep {
    const struct mlp_fit *fit;
    const struct mlp_gauss_newton *m;
    size_t place, rows, parts; /* where its first one lies; none where no more can be read */
};
/* A part of it: its instances, and where what belongs to them lies in the arena. */
struct mlp_share {
    size_t first, rows;
    const double *x, *weights; /* a^(0); the weights, or NULL */
    double *a, *delta;         /* a^(L) and delta^(L) */
    double *panel;             /* the thread's */
};
/* 0 when the part has no instance. */
int mlp_sweep_share(const struct mlp_sweep *sweep, size_t thread, size_t part,
                    struct mlp_share *share);
/* task(sweep, thread, part) for the next chunk of at most `most` instances, each of which takes so many
 * multiply-adds; m->row is still its first one. */
struct mlp_sweep mlp_sweep_run(struct mlp_fit *fit, const struct mlp_gauss_newton *m, size_t most,
                               double work, mlp_task task);

/* A sweep begins; chain number `chain` of it begins, with instances from row to end - 1. */
void mlp_gauss_newton_begin(struct mlp_fit *fit, struct mlp_gauss_newton *m);
void mlp_gauss_newton_chain(struct mlp_gauss_newton *m, size_t chain, size_t row, size_t end);
/* The gradient and A as a node, and back. */
void mlp_gauss_newton_pack(const struct mlp_gauss_newton *m, double *node);
void mlp_gauss_newton_unpack(struct mlp_gauss_newton *m, const double *node);
/* The chain is complete: it takes its place in the tree. */
void mlp_gauss_newton_push(const struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* The same, then the next chain begins; 1 when there is none, and the gradient and A are whole. */
int mlp_gauss_newton_next(struct mlp_fit *fit, struct mlp_gauss_newton *m);

/* One chunk of J and of the gradient; 1 when the sweep is complete. */
int mlp_gauss_newton_sweep(struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* A portion of A += J^T J of a chunk, or of K <- J J^T; 1 when that is complete. */
int mlp_gauss_newton_gram(struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* The penalty's part of A and of the gradient. */
void mlp_gauss_newton_penalise(const struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* D^2, and J's columns divided by D where J is kept. */
void mlp_gauss_newton_scale(struct mlp_fit *fit, struct mlp_gauss_newton *m);

/* u <- beta A + damping D^2, or beta K + damping I; mlp_cholesky goes on from there. */
void mlp_gauss_newton_assemble(struct mlp_gauss_newton *m, double beta, double damping);
/* out (P,) <- -(beta A + damping D^2)^-1 rhs; with `dual`, where rhs (R,) stands for J^T rhs, the
 * same by way of K. rhs is overwritten, and may be out without `dual`. */
void mlp_gauss_newton_system(const struct mlp_fit *fit, const struct mlp_gauss_newton *m,
                             double *rhs, double *out);
/* step <- that of the factor; work <- with `dual`, what J^T multiplies. */
void mlp_gauss_newton_solve(const struct mlp_fit *fit, struct mlp_gauss_newton *m);
/* ||D s||^2 */
double mlp_gauss_newton_length2(const struct mlp_fit *fit, const struct mlp_gauss_newton *m,
                                const double *s);
/* The model's decrease of C: -s^T g - s^T A s / 2 = (mu ||D s||^2 - s^T g) / 2. */
double mlp_gauss_newton_decrease(const struct mlp_fit *fit, const struct mlp_gauss_newton *m);

#endif
