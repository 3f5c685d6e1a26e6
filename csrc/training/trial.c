/* trial.c - how many threads a fit works with: one or the team, whichever takes less time.
 *
 * The figures below are of that measurement; no bit of a result depends on them. */
#include "training/trial.h"

#include "network/clock.h"

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

/* The processors have changed: what was measured before says nothing, and a trial is due. */
static void forget(struct mlp_trial *t)
{
    t->rate[0] = t->rate[1] = 0.0;
    t->wait = TRIAL_SECONDS;
    if (!t->trying) {
        t->portions = 0;
        t->seconds = t->work = 0.0;
    }
}

/* What the pool has learnt, by this fit or by others. */
static void heed(struct mlp_trial *t, const struct mlp_team *team)
{
    const unsigned changes = mlp_team_changes(team);
    if (!t->begun) {
        t->begun = 1;
        t->alone = !mlp_team_pays(team);
    } else if (changes != t->changes) {
        forget(t);
    }
    t->changes = changes;
}

void mlp_trial_start(struct mlp_trial *trial) { *trial = (struct mlp_trial){.wait = FIRST_WAIT}; }

enum mlp_event mlp_trial_advance(struct mlp_fit *fit, double *clock)
{
    struct mlp_trial *t = &fit->trial;
    fit->pass.work = 0.0;
    fit->pass.team = !t->begun ? &fit->team : t->alone ? &one_thread : &fit->tried;
    const enum mlp_event event = fit->method->advance(fit);
    const double work = fit->pass.work, before = *clock;
    *clock = 0.0;
    if (mlp_team_size(&fit->tried, fit->net->grain, work) == 1)
        return event;
    if (work >= TRIAL_WORK || fit->pass.n_ranges > 1) {
        mlp_trial_start(t);
        return event;
    }
    *clock = mlp_seconds();
    heed(t, &fit->team);
    if (t->alone)
        mlp_team_look(&fit->team, *clock);
    if (before > 0.0)
        note_portion(t, *clock - before, work);
    return event;
}
