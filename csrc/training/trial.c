/* trial.c - how many threads a fit works with: one or the team, whichever takes less time.
 *
 * The figures below are of that measurement; no bit of a result depends on them. */
#include "training/trial.h"

/* How long a trial is: so many seconds and portions. */
#define TRIAL_SECONDS 2e-4
#define TRIAL_PORTIONS 4
/* The first millisecond, when threads wake and pages are touched, counts for neither way. */
#define COLD 1e-3
#define FIRST_WAIT 4e-3
#define SHORT_WAIT 2e-2
#define LONG_WAIT 0.8
#define MEMORY 2.0
/* Of long portions one is enough for a trial, which takes a thirtieth of the time at most. Those of more
 * multiply-adds than this are not tried: on one thread they would hold up signals. */
#define LONG_PORTION 1e-3
#define SHARE 30.0
#define TRIAL_WORK 4e8

static const struct mlp_team one_thread = {.n_threads = 1};

static void note_portion(struct mlp_trial *t, double seconds, double work)
{
    t->portions++;
    t->seconds += seconds;
    t->work += work;
    if (t->clock < COLD && t->clock + seconds >= COLD) {
        t->portions = 0;
        t->seconds = t->work = 0.0;
    }
    t->clock += seconds;
    const int few = t->portions < TRIAL_PORTIONS && t->seconds < LONG_PORTION;
    if (t->trying ? few || t->seconds < TRIAL_SECONDS : t->seconds < t->wait)
        return;
    const double rate = t->seconds / t->work;
    const int now = t->alone;
    if (!t->trying) {
        t->rate[now] = rate;
        t->until[now] = t->clock;
        t->alone = !now;
    } else {
        const int known = t->rate[now] > 0.0 && t->clock - t->until[now] < MEMORY;
        const double expected = known && t->rate[now] > rate ? t->rate[now] : rate;
        const int faster = expected < t->rate[!now];
        t->alone = faster ? now : !now;
        t->wait = faster ? SHORT_WAIT : 2.0 * t->wait < LONG_WAIT ? 2.0 * t->wait : LONG_WAIT;
        if (t->wait < SHARE * t->seconds)
            t->wait = SHARE * t->seconds;
    }
    t->trying = !t->trying;
    t->portions = 0;
    t->seconds = t->work = 0.0;
}

void mlp_trial_start(struct mlp_trial *trial) { *trial = (struct mlp_trial){.wait = FIRST_WAIT}; }

enum mlp_event mlp_trial_advance(struct mlp_fit *fit, double *clock)
{
    fit->pass.work = 0.0;
    fit->pass.team = fit->trial.alone ? &one_thread : &fit->team;
    const enum mlp_event event = fit->method->advance(fit);
    const double work = fit->pass.work, before = *clock;
    *clock = 0.0;
    if (mlp_team_size(&fit->team, fit->net->grain, work) == 1)
        return event;
    if (work >= TRIAL_WORK || fit->pass.n_ranges > 1) {
        mlp_trial_start(&fit->trial);
        return event;
    }
    *clock = mlp_seconds();
    if (before > 0.0)
        note_portion(&fit->trial, *clock - before, work);
    return event;
}
