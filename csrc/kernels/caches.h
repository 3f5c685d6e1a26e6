/* caches.h - the caches of this machine, from which the sizes of the blocks of products follow. */
#ifndef MLP_CACHES_H
#define MLP_CACHES_H

#include <stddef.h>

/* Bytes of data that the caches of one core hold: of a cache that cores share, the share of one. terms, a
 * and b are for measurements and tests: unless they are 0 they are what block_sizes() (blocks.inc.h)
 * returns, whatever the caches. No bit of a result depends on any of them. */
struct mlp_caches {
    size_t l1, l2, l3;
    size_t terms, a, b;
};

/* Of a usual machine, until mlp_caches_find() has asked this one. */
extern struct mlp_caches mlp_caches;

/* Asks the processor or the system, once; whoever has called it reads the answer. */
void mlp_caches_find(void);

#endif
