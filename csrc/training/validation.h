/* validation.h - the cost of instances that a fit does not learn from, after each epoch, and patience.
 *
 * It is a pass in portions between the method's: an epoch is complete when it is. */
#ifndef MLP_VALIDATION_H
#define MLP_VALIDATION_H

#include "training/epoch.h"

/* A portion of the pass over the validation's instances, whose first one starts it; 1 when it is
 * complete and validation.cost is C of the network's parameters. */
int mlp_validation_advance(struct mlp_fit *fit);
/* That was an epoch's: the event that it makes of validation.event. */
enum mlp_event mlp_validation_judge(struct mlp_fit *fit);
/* Training has ended. With patience the network's parameters <- those of the best epoch, if there is
 * one. 1 when validation.cost is C of what they are now, or nobody asks for it. */
int mlp_validation_finish(struct mlp_fit *fit);
void mlp_validation_describe(struct mlp_fit *fit, struct mlp_fit_report *report);
/* Whether a fit can leave there what has been resumed. */
int mlp_validation_plausible(const struct mlp_fit *fit);

#endif
