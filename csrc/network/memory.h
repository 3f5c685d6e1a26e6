/* memory.h - sizes, and memory on cache lines.
 *
 * Sizes are computed here and nowhere else, so that one which overflows is seen. */
#ifndef MLP_MEMORY_H
#define MLP_MEMORY_H

#include <stddef.h>

/* *c <- a b or a + b; 0 when it overflows. */
int mlp_size_multiply(size_t a, size_t b, size_t *c);
int mlp_size_add(size_t a, size_t b, size_t *c);

/* Memory for n doubles on a 64-byte boundary; NULL when there is none. Freed by mlp_release. */
double *mlp_allocate(size_t n);
void mlp_release(double *p);

#endif
