/* symmetric.h - symmetric matrices of a second-order solver: X^T X, its Cholesky factor and the
 * systems that it solves, by the library's own products. Only the upper triangle is used, row-major;
 * what lies below the diagonal is undefined. Neither threads nor ISAs with FMA change a bit. */
#ifndef MLP_SYMMETRIC_H
#define MLP_SYMMETRIC_H

#include "network/network.h"
#include "network/threads.h"

/* What the functions here work with. */
struct mlp_symmetric {
    const struct mlp_network *net; /* its kernels and its grain */
    const struct mlp_team *team;
    size_t order;    /* N of the matrices (N, N) */
    size_t row;      /* doubles between their rows: mlp_symmetric_row(N) */
    double *panels;  /* mlp_symmetric_panel() doubles for each thread */
    size_t panel;    /* so many */
    double *negated; /* mlp_symmetric_negated() doubles */
};

/* Doubles between rows of at least n: whole cache lines and an odd number of them, so that a column
 * is spread over all sets of a cache. 0 when that overflows. */
size_t mlp_symmetric_row(size_t n);
/* Doubles of a thread's panel, for X of up to k rows, and of `negated`. */
size_t mlp_symmetric_panel(const struct mlp_kernels *kernels, size_t order, size_t k, size_t row);
size_t mlp_symmetric_negated(size_t order);

/* Rows of a, from row `from` on, <- A0 + X^T X, X (k, N) with rows x_row apart; A0 is
 * a, or 0 with `first`. Each element is one chain of FMAs over ascending rows of X. Goes on until
 * about `work` multiply-adds are spent; returns the next row, N when it is done. Cannot fail. */
size_t mlp_gram(const struct mlp_symmetric *s, size_t k, const double *x, size_t x_row, int first,
                double *a, size_t from, double work);

/* u <- U with U^T U = u, from row `from`, a block's first, on, until about `work` multiply-adds are
 * spent: returns the next row, N when it is done, N + 1 when u is not positive definite (in
 * floating-point arithmetic), and then u is undefined. *spent <- multiply-adds. */
size_t mlp_cholesky(const struct mlp_symmetric *s, double *u, size_t from, double work,
                    double *spent);

/* x (N,) <- U^-T x, and x <- U^-1 x. Cannot fail. */
void mlp_solve_lower(const struct mlp_symmetric *s, const double *u, double *x);
void mlp_solve_upper(const struct mlp_symmetric *s, const double *u, double *x);

/* The trace of (U^T U)^-1, the sum of squares of U^-1. v (N, row) is overwritten. Cannot fail. */
double mlp_inverse_trace(const struct mlp_symmetric *s, const double *u, double *v);

/* x . y, one chain of FMAs. Cannot fail. */
double mlp_dot(const struct mlp_kernels *kernels, size_t n, const double *x, const double *y);

#endif
