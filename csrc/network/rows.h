/* rows.h - the caller's arrays as float64 rows.
 *
 * What lies as float64 already is used where it lies; all else is converted, and scaled, a chunk at a
 * time. */
#ifndef MLP_ROWS_H
#define MLP_ROWS_H

#include "mlp.h"

/* Rows begin .. begin + rows - 1 of x as float64 (rows, columns): where they lie, or converted into
 * buffer. With order, row i is x's row order[i]. */
const double *mlp_rows(const struct mlp_matrix *x, const size_t *order, size_t begin, size_t rows,
                       double *buffer);

/* The place of row number `row` of x in its arrays, of which *rows, at least 1, follow each other; *rows <- at
 * most as many as do there, 0 where its blocks have none any more. */
size_t mlp_rows_at(const struct mlp_matrix *x, size_t row, size_t *rows);

/* Where rows 0 .. n - 1 of x lie as contiguous float64 that is not scaled, or NULL. */
const double *mlp_rows_in_place(const struct mlp_matrix *x, size_t n);

#endif
