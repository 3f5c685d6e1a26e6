/* look.h - a look at a worker, which the worker takes while the caller works: where it runs, when it begins
 * and how long a piece of arithmetic takes. */
#ifndef MLP_LOOK_H
#define MLP_LOOK_H

#include "network/advice.h"

struct mlp_look {
    int wanted, taken;
    double asked, alone; /* when, and how long the caller took for it alone */
    int processor;       /* the caller's */
    enum mlp_sign sign;  /* the result */
};

/* The caller wants a look, before it gives the worker its job. */
void mlp_look_ask(struct mlp_look *look);
/* The worker takes it, before it begins. */
void mlp_look_take(struct mlp_look *look);

#endif
