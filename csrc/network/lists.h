/* lists.h - the first layer of instances that are given as CSR rows: forward row by row, the gradient from
 * the transpose of a chunk, a row of w after the other.
 *
 * What is 0 is left out, and no bit tells: see kernels/lists.inc.h. */
#ifndef MLP_LISTS_H
#define MLP_LISTS_H

#include "network/network.h"
#include "network/threads.h"

/* Some rows of CSR x, in an order or as they stand: begin .. begin + rows - 1. And room for their transpose,
 * which each part of a gradient makes of its own columns. */
struct mlp_lists {
    const struct mlp_matrix *x;
    const size_t *order;
    size_t begin, rows;
    int64_t *starts;  /* (m^(0) + 2 parts,) */
    double *values;   /* (room,) */
    uint32_t *places; /* (room,) instances */
};

static inline int mlp_is_csr(const struct mlp_matrix *x) { return x->starts != NULL; }

/* The terms that a chunk of n rows of x is to have room for: 0 where x is not CSR, else as many as a row
 * can have and more. */
size_t mlp_lists_room(const struct mlp_matrix *x, size_t n);
/* How many rows from `begin` on, at most `rows` and at least one, fit into so much room. */
size_t mlp_lists_fitting(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                         size_t room);

/* The terms of rows begin .. begin + rows - 1. */
size_t mlp_lists_terms(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows);

/* Whether w^(1) is finite, by the team. */
int mlp_lists_finite(const struct mlp_network *net, const struct mlp_team *team);
/* a^(1) (rows, m^(1)) of rows begin .. begin + rows - 1, before what skips it is added; d as in
 * mlp_layer_forward. `finite` is mlp_lists_finite's. */
void mlp_lists_forward(const struct mlp_network *net, const struct mlp_matrix *x,
                       const size_t *order, size_t begin, size_t rows, int finite, double *z);
/* a (rows, m^(0)) += those rows. */
void mlp_lists_skip(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                    double *a);
/* The transpose of columns r0 .. r1 - 1 into part number `part` of the room: starts (r1 - r0 + 1,) of the
 * lists of those columns. */
const int64_t *mlp_lists_transpose(const struct mlp_lists *lists, size_t part, size_t r0,
                                   size_t r1);

#endif
