/* advice.h - what the pool has learnt of a worker: whether it brings anything just now.
 *
 * The two virtual processors of a cloud machine are two cores at one moment and two threads of one core
 * at the next, or another process is busy on one of them; then a second thread brings nothing, or
 * costs. No model knows, and a short call has no time to try. So what any call sees of a worker is kept
 * with it, for tens of milliseconds. No bit of a result depends on it.
 *
 * The times are given by the caller, in seconds of any clock that advances. */
#ifndef MLP_ADVICE_H
#define MLP_ADVICE_H

/* What was seen of a worker. */
enum mlp_sign {
    MLP_SIGN_GOOD,        /* a look: it has a core to itself */
    MLP_SIGN_SHARED_CORE, /* a look: it is slowed down by the caller, whose core it shares */
    MLP_SIGN_SAME,        /* it runs on the caller's processor, in turns with it */
    MLP_SIGN_LATE,        /* it has not begun in time: something else runs in its place */
    MLP_SIGN_HELD_UP      /* the caller had to wait for it: something else ran in its place */
};

struct mlp_advice {
    /* Not MLP_SIGN_GOOD: the worker brings nothing, until `until`. Otherwise it counts, and a look at it is
     * due from then on. */
    enum mlp_sign sign;
    double until;
    double wait, ended; /* how long the last bad sign counted, and when that ended */
    double missed;      /* since when the worker has not begun what it was given; 0: it has */
    enum mlp_sign last; /* seen */
    unsigned changes;   /* from good to bad or back */
};

/* Nothing is known of a worker that has just been made. It takes a while until it can begin. */
void mlp_advice_start(struct mlp_advice *advice, double now);
/* What was seen at that time counts from now on. */
void mlp_advice_note(struct mlp_advice *advice, enum mlp_sign sign, double now);
/* The worker had not begun by `now`, when others had done the work that it was given at `since`. */
void mlp_advice_miss(struct mlp_advice *advice, double since, double now);
/* It has begun. */
void mlp_advice_begun(struct mlp_advice *advice);
/* Whether it brings nothing. A bad sign is forgotten when its time is over. */
int mlp_advice_bad(struct mlp_advice *advice, double now);
/* Whether a worker that counts should be looked at. */
int mlp_advice_due(const struct mlp_advice *advice, double now);

/* What a look at a worker says that began `late` seconds after it was asked, on the caller's processor or
 * not, and that took so many times as long for a piece of arithmetic as the caller did alone. */
enum mlp_sign mlp_advice_look(double late, int same, double slowness);
/* Whether a caller that has worked for `worked` seconds (negative: unknown), and then waited for `waited`,
 * has been held up. */
int mlp_advice_held_up(double worked, double waited);

#endif
