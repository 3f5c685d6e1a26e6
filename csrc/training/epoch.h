/* epoch.h - the state of one call of fit, and what every solver does with it: passes over its data, the
 * start and the end of an epoch.
 *
 * A solver's file (descent.c, ...) owns what happens between two costs; fit.c, on top, owns the loop and
 * the limits. A further solver is a file with a struct mlp_method, and its row and its options in
 * mlp.h. */
#ifndef MLP_EPOCH_H
#define MLP_EPOCH_H

#include "network/pass.h"

struct mlp_fit;

/* A solver. */
struct mlp_method {
    /* Allocates fit->memory and what else it needs; what it leaves behind is freed in any case. */
    enum mlp_status (*start)(struct mlp_fit *fit);
    void (*free)(struct mlp_fit *fit); /* what `start` made; NULL: nothing */
    /* Does a portion: some milliseconds, one chunk at least; takes its multiply-adds off fit->work.
     * Work that is not fit->pass's is fit->pass.team's.
     * MLP_EPOCH when it has completed an epoch, by mlp_fit_epoch; MLP_PAUSED when not. */
    enum mlp_event (*advance)(struct mlp_fit *fit);
    /* Adds the arrays that the solver remembers at an epoch's end, the places where they lie; NULL:
     * none. What the first pass of a resumed fit evaluates again need not be among them. */
    void (*describe)(struct mlp_fit *fit, struct mlp_fit_report *report);
    /* Those places have been filled in before the first portion, and fit->epochs: makes what follows
     * from them. NULL, or the name of an array that no fit can have left; NULL: nothing follows. */
    const char *(*resume)(struct mlp_fit *fit);
    /* Of a solver that steps along the gradient: how many rows of the epoch under way it has learned from,
     * where the fit is between two mini-batches, or in the pass after the step of a full batch (all n);
     * else 0. *sum <- what else belongs to this place: their cost, or the norm of the gradient before that
     * step. NULL: whenever a portion ends the parameters are those of a complete epoch, or of a trial. */
    size_t (*row)(struct mlp_fit *fit, struct mlp_pair **sum);
    /* Goes to that place in the epoch at whose start fit->start_stream was; 0 if there is none such. */
    int (*enter)(struct mlp_fit *fit, size_t row);
    int reads_rows; /* of x, outside of passes: those of CSR instances are filled in for it */
};

/* Whether one thread or the team is faster: see trial.h. [1] is one thread. */
struct mlp_trial {
    int begun;        /* since then trials decide; before it the pool does */
    unsigned changes; /* that the pool had seen at the last portion */
    int alone;        /* one thread is at work, not the team */
    int trying;       /* for a moment, to be compared with the other */
    size_t portions;  /* of this moment or period, and what they took: */
    double seconds, work;
    double clock;             /* seconds measured so far */
    double wait;              /* seconds until the next trial */
    double rate[2], until[2]; /* seconds per multiply-add in the last period, and when it ended */
};

/* A sample of the instances, where they do not all lie in memory, for the survey: see survey.c. */
struct mlp_seen {
    struct mlp_matrix x, y, weights;
    size_t n; /* 0: there is none */
};

/* Instances that the fit does not learn from: see validation.h. */
struct mlp_validation {
    struct mlp_matrix x, y, weights;
    size_t n;             /* 0: there are none */
    size_t patience;      /* 0: without end */
    int under_way;        /* the pass after an epoch, which is complete but for it */
    enum mlp_event event; /* what its rules have made of that epoch */
    double cost;          /* of the last complete epoch, NaN before the first */
    double best[3];
    double *parameters; /* (P,) the best epoch's, at first the start's; NULL without patience */
    struct mlp_pass pass;
};
/* Of best: the lowest cost, epochs in a row that did not lower it, its epoch, before the first epoch
 * what the fit was given. */
enum { MLP_BEST_COST, MLP_BEST_AGE, MLP_BEST_EPOCH };

struct mlp_fit {
    struct mlp_network *net;         /* the one that is trained: the caller's, or `dropping` */
    const struct mlp_network *whole; /* the caller's, which drops no units */
    struct mlp_network *dropping;    /* with dropout: a copy that does */
    struct mlp_matrix x, y, weights; /* the weights where options.problem has some */
    size_t n;
    struct mlp_fit_options options;
    const struct mlp_method *method;
    void *memory;               /* the method's own */
    struct mlp_workspace space; /* for passes over n instances or batches of batch_size */
    struct mlp_team team;       /* while mlp_fit_run or mlp_fit_finish is under way */
    struct mlp_team tried;      /* the same, while a trial decides whether it works on pass: */
    struct mlp_trial trial;
    double *gradient;   /* (P,) the last one evaluated, or NULL: */
    const double *norm; /* then its norm, which the method keeps; NULL: unknown */
    const double *rate; /* the learning rate of the method's last step; NULL: it has none */
    double *start;      /* (P,) the parameters at the epoch's start, where one is under way: */
    int kept;
    size_t epochs; /* complete ones, those of the fit that it resumes included */
    struct mlp_pair cost, previous;
    double initial_cost;
    struct mlp_stream start_stream; /* the stream at the epoch's start */
    int evaluated;                  /* gradient holds one */
    int bare;                  /* the pass of the last epoch, which evaluates none, has begun */
    struct mlp_pair last_norm; /* .high: that of the gradient, as the last complete epoch left it */
    size_t evaluations;        /* passes over all instances that are complete */
    int diverged;
    enum { MLP_TRAINING = 0, MLP_FINAL_COST, MLP_FINAL_VALIDATION, MLP_FINISHED } stage;
    int validated;      /* in the last ones: there is nothing to do in MLP_FINAL_VALIDATION */
    const char *reason; /* of MLP_OWN */
    double work;        /* what is left of the call's */
    /* Where advance() may record the costs and norms of epochs that it completes at once: so many
     * fit, up to epoch `until`. It counts them in recorded; of one that ends with the call the caller
     * records everything, as it does the rest of these. */
    size_t until, capacity, recorded;
    struct mlp_history history;
    int seeking;    /* a call ends at the next place that mlp_fit_row tells of */
    double elapsed; /* seconds of the epoch under way that calls before this one took */
    struct mlp_seen seen;
    /* From here on mlp_fit_new clears only what is read before it is set. */
    struct mlp_validation validation;
    struct mlp_pass pass; /* a pass over a batch, with the method's gradient */
};

/* Starts the pass over a batch of n instances, with its part of the penalty and masks of its own. */
void mlp_fit_batch(struct mlp_fit *fit, const size_t *order, size_t begin, size_t n);
/* A portion of the pass over all instances, whose first one starts it; 1 when it is complete, and
 * *under_way is 0 again. */
int mlp_fit_pass(struct mlp_fit *fit, int *under_way);
/* The first pass has evaluated C_0, or C where the fit is resumed: MLP_PAUSED when training can
 * begin. */
enum mlp_event mlp_fit_begin(struct mlp_fit *fit);
/* The parameters as they were at the epoch's start. */
void mlp_fit_keep(struct mlp_fit *fit);
/* Restores them, with the stream and the cost. */
enum mlp_event mlp_fit_diverge(struct mlp_fit *fit);
/* Ends the fit by a rule of the solver's own. */
static inline enum mlp_event mlp_fit_stop(struct mlp_fit *fit, const char *reason)
{
    fit->reason = reason;
    return MLP_OWN;
}
/* Adds an array to those that are remembered. */
static inline void mlp_remember(struct mlp_fit_report *report, const char *name, double *data,
                                size_t n)
{
    report->arrays[report->n_arrays++] = (struct mlp_array){name, data, n};
}
/* Whether the cost and all parameters are finite. */
int mlp_fit_healthy(const struct mlp_fit *fit, struct mlp_pair cost);
/* Another epoch is complete, and its cost is `cost`: the event that the rules make of it, which are
 * those of tol, where there is an epoch to compare with, and of the goal. */
enum mlp_event mlp_fit_epoch(struct mlp_fit *fit, struct mlp_pair cost, int comparable);
/* The norm of the last gradient evaluated, or NaN. */
double mlp_fit_gradient_norm(const struct mlp_fit *fit);

/* A chunk of a full-batch method whose epoch is a step along the gradient, then the pass that
 * evaluates C and the gradient where it led to. */
struct mlp_full {
    int in_pass; /* a pass is under way */
    int stepped; /* it evaluates what a step of this fit led to, or of the one that this one resumes: */
    int entered; /* whose pass is still to begin */
};
enum mlp_event mlp_full_advance(struct mlp_fit *fit, struct mlp_full *full,
                                void (*step)(struct mlp_fit *fit));
/* `row` and `enter` of struct mlp_method. */
size_t mlp_full_row(struct mlp_fit *fit, const struct mlp_full *full, struct mlp_pair **norm);
int mlp_full_enter(const struct mlp_fit *fit, struct mlp_full *full, size_t row);

#endif
