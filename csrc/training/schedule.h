/* schedule.h - the learning rate of an epoch.
 *
 * A plateau's two numbers are the caller's to remember; the others follow from the epoch alone. */
#ifndef MLP_SCHEDULE_H
#define MLP_SCHEDULE_H

#include "kernels/kernels.h"
#include "mlp.h"

/* alpha_e: see struct mlp_schedule. `alpha` is the solver's own or, for a plateau, that of the epoch
 * before, whose cost was `cost`; plateau[2] starts as infinity and 0. */
double mlp_schedule_rate(const struct mlp_schedule *schedule, const struct mlp_kernels *kernels,
                         double alpha, size_t epoch, double cost, double plateau[2]);

#endif
