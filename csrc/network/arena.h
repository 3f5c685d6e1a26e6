/* arena.h - the scratch of a call: what a chunk of instances needs on its way through the network, and
 * how large chunks are. */
#ifndef MLP_ARENA_H
#define MLP_ARENA_H

#include "network/network.h"

/* At most so many ranges of a large batch have a chain of their own. */
#define MLP_RANGES 64
/* How many ranges a batch of n is cut into: a function of n and P alone. */
size_t mlp_n_ranges(const struct mlp_network *net, size_t n);

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
    /* Where x is CSR, instead of x: room for the transpose of a chunk of so many terms. See lists.h. */
    size_t room;
    int64_t *starts;
    double *values;
    uint32_t *places;
    double *scratch; /* of mlp_online_scratch() */
};

enum mlp_purpose {
    MLP_FORWARD, /* x and a alone, a^(l) in two places that take turns */
    MLP_TRAIN,   /* everything */
};

/* n arenas in one block of memory: the first for `first` instances, the others for `rows`, with a panel
 * for the larger of these numbers. With room > 0 they are for CSR instances, so many terms of a chunk. */
enum mlp_status mlp_arenas_new(struct mlp_arena *arenas, size_t n, const struct mlp_network *net,
                               enum mlp_purpose purpose, size_t first, size_t rows, size_t room);
void mlp_arenas_free(struct mlp_arena *arenas);
/* Instances per chunk for so many threads, at most n; of CSR instances with room > 0. */
size_t mlp_chunk_rows(const struct mlp_network *net, size_t room, size_t n_threads, size_t n);

/* The arenas of a pass over up to n instances, or of batches of `batch` and then such a pass. Thread
 * 0's holds the chunks that threads share. */
struct mlp_workspace {
    size_t n_threads;
    struct mlp_arena *arenas; /* (n_threads,) */
    double *partial;          /* the gradients of the ranges, NULL where no batch has any */
};
enum mlp_status mlp_workspace_new(struct mlp_workspace *space, const struct mlp_network *net,
                                  size_t n_threads, size_t batch, size_t n, int with_gradient,
                                  size_t room);
void mlp_workspace_free(struct mlp_workspace *space);

/* Doubles of scratch that the kernel online() needs. */
size_t mlp_online_scratch(const struct mlp_network *net);

#endif
