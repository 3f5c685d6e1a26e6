/* wolfe.h - a line search for the strong Wolfe conditions, one evaluation at a time. */
#ifndef MLP_WOLFE_H
#define MLP_WOLFE_H

#include <stddef.h>

/* A step alpha along the direction: f = C(alpha) - C(0), and its derivative. */
struct mlp_wolfe_point {
    double alpha, f, slope;
};

enum mlp_wolfe_verdict {
    MLP_WOLFE_TRY,    /* evaluate at `alpha` */
    MLP_WOLFE_DONE,   /* take the step that was evaluated last */
    MLP_WOLFE_BEST,   /* take the step `alpha`, evaluated before: it decreases C sufficiently */
    MLP_WOLFE_FAILED, /* no step that does has been found */
};

struct mlp_wolfe {
    double c1, c2;
    double slope; /* at alpha = 0, negative */
    double alpha; /* to evaluate next */
    size_t left;  /* evaluations that may still be made */
    /* Once a good step is bracketed it lies between the two; `low` decreases C sufficiently and is the
     * best of such. Before, `low` is the longest step known. */
    int bracketed;
    struct mlp_wolfe_point low, high;
};

/* A search with at most `most` >= 1 evaluations, the first at alpha > 0. */
void mlp_wolfe_start(struct mlp_wolfe *search, double c1, double c2, size_t most, double slope,
                     double alpha);
/* What the evaluation at `alpha` means. f = infinity stands for any that is not finite. */
enum mlp_wolfe_verdict mlp_wolfe_judge(struct mlp_wolfe *search, double f, double slope);

#endif
