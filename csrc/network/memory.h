/* memory.h - sizes, and memory on cache lines.
 *
 * Sizes are computed here and nowhere else, so that one which overflows is seen. */
#ifndef MLP_MEMORY_H
#define MLP_MEMORY_H

#include "kernels/kernels.h"

/* *c <- a b or a + b; 0 when it overflows. */
static inline int mlp_size_multiply(size_t a, size_t b, size_t *c)
{
    /* Halves of a size_t have a product: most sizes are spared the division. */
    if ((a | b) >> 4 * sizeof a && b != 0 && a > SIZE_MAX / b)
        return 0;
    *c = a * b;
    return 1;
}
static inline int mlp_size_add(size_t a, size_t b, size_t *c)
{
    if (a > SIZE_MAX - b)
        return 0;
    *c = a + b;
    return 1;
}

/* Memory for n doubles on a 64-byte boundary; NULL when there is none. Freed by mlp_release. */
double *mlp_allocate(size_t n);
void mlp_release(double *p);

/* Arrays of doubles in one block of memory, each on a cache line. They are cut twice, in the same order:
 * first without a block, to count them, then out of the block that mlp_cutter_allocate has made. */
struct mlp_cutter {
    double *next; /* NULL while they are counted */
    size_t total;
    int overflows;
};
/* rows columns doubles, or NULL while they are counted. */
static inline double *mlp_cut(struct mlp_cutter *cutter, size_t rows, size_t columns)
{
    double *p = cutter->next;
    if (p != NULL) {
        cutter->next += mlp_padded(rows * columns);
        return p;
    }
    size_t n = 0;
    if (!mlp_size_multiply(rows, columns, &n) || n > SIZE_MAX - 8 ||
        !mlp_size_add(cutter->total, mlp_padded(n), &cutter->total))
        cutter->overflows = 1;
    return NULL;
}
/* *block <- memory for what has been counted, which is cut from now on; freed by mlp_release. */
enum mlp_status mlp_cutter_allocate(struct mlp_cutter *cutter, double **block);

#endif
