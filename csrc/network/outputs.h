/* outputs.h - the output layer where not every output has a target: of targets some of which are missing, and
 * of derivatives of the caller's own. All else is one kernel, output(). */
#ifndef MLP_OUTPUTS_H
#define MLP_OUTPUTS_H

#include "network/network.h"

/* As kernels' output(), with an output activation g: an output whose target is NaN has the cost 0 and the delta
 * 0, and with softmax all of its instance's have. An instance without such targets has output()'s bits. */
void mlp_output_gaps(const struct mlp_network *net, enum mlp_activation g, size_t rows, double *z,
                     const double *y, double *delta, double *terms, double *c);
/* That for MLP_GAPS. For MLP_SLOPES y is dC/da^(L) in the caller's units, c <- 0, and terms is scratch. */
void mlp_output_apart(const struct mlp_network *net, enum mlp_kind kind, size_t rows, double *z,
                      const double *y, double *delta, double *terms, double *c);

#endif
