/* pass.h - one evaluation of C, and of its gradient, over any number of instances: a batch streams
 * through forward, delta and gradient chunk by chunk. */
#ifndef MLP_PASS_H
#define MLP_PASS_H

#include "network/arena.h"
#include "network/penalty.h"
#include "network/step.h"
#include "network/threads.h"

#include <stddef.h>
#include <string.h>

/* Multiply-adds between two looks at what else is to be done: some milliseconds, so that the caller can
 * look after signals. */
#define MLP_PORTION 4e7

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
    int keep;            /* whether the gradient is wanted beside its step */
    const size_t *order; /* NULL: the rows as they stand */
    size_t begin, n;     /* rows begin .. begin + n - 1 of x, y or order */
    /* Those before number `ready` of them lie in memory, where number 0 has, or would have, this place. */
    size_t ready, place;
    size_t n_ranges, range; /* ranges before this one are complete */
    /* The piece of the n instances that is at hand, from .. to - 1, all of them unless it is a mlp_pass_piece,
     * and the ranges that it has a part in: first .. last - 1. */
    int piece;
    size_t from, to, first, last;
    /* Unless NULL the instances are elsewhere, and the sum comes from there at once. */
    const struct mlp_elsewhere *elsewhere;
    int validation;                      /* they are those of the validation */
    double work;                         /* multiply-adds of the last mlp_pass_advance */
    int finite;                          /* of CSR instances: whether w^(1) is */
    struct mlp_pair cost;                /* the result */
    struct mlp_range ranges[MLP_RANGES]; /* what mlp_pass_start does not set, nobody reads */
};

/* Zeros in all but the ranges: 10 KB, which a small fit or step has no time to clear. */
static inline void mlp_pass_clear(struct mlp_pass *pass)
{
    memset(pass, 0, offsetof(struct mlp_pass, ranges));
}

void mlp_pass_start(struct mlp_pass *pass, const size_t *order, size_t begin, size_t n);
/* The same of instances from .. from + rows - 1 of the n alone, which are rows 0 .. rows - 1 of x and y: the
 * pass ends with its ranges as they then are, and nothing is added up. One that begins within a range goes on
 * with what is put in its `sum` and its gradient. */
void mlp_pass_piece(struct mlp_pass *pass, size_t from, size_t rows, size_t n);
/* Does a portion of it, some milliseconds at most or one chunk; 1 when the pass is complete. */
int mlp_pass_advance(struct mlp_pass *pass);

#endif
