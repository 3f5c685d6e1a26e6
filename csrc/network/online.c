/* online.c - steps on single instances, and epochs of the smallest networks, as one call of a kernel
 * each: which arrays it can work on. */
#include "network/online.h"

#include "network/rows.h"

size_t mlp_online(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, const size_t *order,
                  size_t begin, size_t n, double alpha, double *gradient, struct mlp_pair *cost)
{
    /* online() keeps no g'(z), and knows neither lists nor gaps. */
    if (net->second > 0 || x->starts != NULL || y->kind > MLP_LABELS)
        return 0;
    const struct mlp_shape shape = mlp_shape_of(net);
    const size_t rows = order != NULL ? SIZE_MAX : begin + n; /* order may name any row */
    const double *xp = mlp_rows_in_place(x, rows), *yp = mlp_rows_in_place(y, rows);
    if (xp != NULL && yp != NULL && order != NULL) {
        order += begin;
    } else if (xp != NULL && yp != NULL) {
        xp += begin * mlp_n_inputs(net);
        yp += begin * mlp_n_outputs(net);
    } else {
        n = n < arena->rows ? n : arena->rows;
        xp = mlp_rows(x, order, begin, n, arena->x);
        yp = mlp_rows(y, order, begin, n, arena->y);
        order = NULL;
    }
    return net->kernels->online(&shape, alpha, n, xp, yp, order, net->parameters, gradient, cost,
                                arena->scratch);
}

size_t mlp_epochs(const struct mlp_network *net, const struct mlp_arena *arena,
                  const struct mlp_matrix *x, const struct mlp_matrix *y, size_t n, double alpha,
                  const struct mlp_rules *rules, double *gradient, struct mlp_pair *cost,
                  double *costs, double *squares)
{
    const struct mlp_shape shape = mlp_shape_of(net);
    if (net->second > 0 || x->starts != NULL || y->kind > MLP_LABELS || n > arena->rows || n > 8 ||
        net->n_layers != 2) /* no use in converting */
        return 0;
    return net->kernels->epochs(&shape, alpha, n, mlp_rows(x, NULL, 0, n, arena->x),
                                mlp_rows(y, NULL, 0, n, arena->y), rules, net->parameters, gradient,
                                cost, costs, squares);
}
