/* trial.h - how many threads a fit works with, found out while it runs.
 *
 * Whether a team pays for short portions depends on what no model knows: how far apart the caches
 * of its threads are, which the system may change at any time, and who else wants the processors. No
 * bit depends on it, so it is measured: now and then the other way is tried, and taken when it was
 * faster. A moment does not show what a busy processor costs in the long run, so the average over
 * the last period counts as well, for as long as it is not too old.
 *
 * It begins with what the pool has learnt (network/advice.h), and tries again when the pool sees a change.
 * Portions that are too long to be tried follow the pool. */
#ifndef MLP_TRIAL_H
#define MLP_TRIAL_H

#include "training/epoch.h"

/* Before the first portion: nothing is known. */
void mlp_trial_start(struct mlp_trial *trial);
/* A portion of the fit's method, on the threads that pay; *clock is when the portion before ended, or 0.
 * Portions without work of the pass, or with too little of it for a team, count for neither way. */
enum mlp_event mlp_trial_advance(struct mlp_fit *fit, double *clock);

#endif
