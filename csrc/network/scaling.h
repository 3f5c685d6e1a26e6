/* scaling.h - the caller's units and the layers': x' = (x - offset) / scale, a = a' scale + offset.
 *
 * Matrices carry the scaling of what they hold to where their rows are read (rows.h). A network without
 * a scaling costs one test of a pointer. */
#ifndef MLP_SCALING_H
#define MLP_SCALING_H

#include "network/network.h"

static inline int mlp_scales_inputs(const struct mlp_network *net)
{
    return net->scaling != NULL && net->scaling[0] != 0.0;
}
static inline int mlp_scales_outputs(const struct mlp_network *net)
{
    return net->scaling != NULL && net->scaling[1] != 0.0;
}

/* Offsets (m,) and, behind them, scales (m,). */
static inline const double *mlp_input_scaling(const struct mlp_network *net)
{
    return net->scaling + 2;
}
static inline const double *mlp_output_scaling(const struct mlp_network *net)
{
    return net->scaling + 2 + 2 * mlp_n_inputs(net);
}

/* The caller's instances, or targets, as the layers are to see them: x itself, or *own made of it. */
const struct mlp_matrix *mlp_inputs(const struct mlp_network *net, const struct mlp_matrix *x,
                                    struct mlp_matrix *own);
const struct mlp_matrix *mlp_targets(const struct mlp_network *net, const struct mlp_matrix *y,
                                     struct mlp_matrix *own);

/* out (m^(0),) <- one instance as the layers are to see it. */
void mlp_scale_row(const struct mlp_network *net, const double *x, double *out);
/* a (rows, m^(L)) <- outputs as the caller is to see them. */
void mlp_unscale_outputs(const struct mlp_network *net, size_t rows, double *a);
/* j (rows, m^(L), columns), derivatives of the layers' outputs, <- those of the caller's, and unless
 * `inputs` is 0 by the caller's inputs; gradient (rows, m^(0)) <- derivatives by the caller's inputs. */
void mlp_unscale_jacobian(const struct mlp_network *net, size_t rows, size_t columns, int inputs,
                          double *j);
void mlp_unscale_gradient(const struct mlp_network *net, size_t rows, double *gradient);

#endif
