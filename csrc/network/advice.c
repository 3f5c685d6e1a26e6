/* advice.c - how long what was seen of a worker counts, and what is a bad sign.
 *
 * A wrong "good" costs one run until the next look; a wrong "bad" costs the second thread for as long as
 * it counts. Bad signs that follow each other count for longer and longer. */
#include "network/advice.h"

/* A worker that counts is looked at so often: a look takes 2 us. */
#define LOOK 1e-2
/* A bad sign counts for this long at first, and twice as long each time that it comes again before four
 * times as long have passed. Cores that are shared: the host moves the processors every ten
 * milliseconds to seconds, and another look costs 10 us. Other processes hold a processor for seconds,
 * and each time that the worker waits for them costs some milliseconds. */
#define FIRST 5e-3
#define MOST_SHARED 2e-2
#define MOST 0.32
#define AGAIN 4.0
/* A worker that sleeps begins 25 to 100 us after it has been woken in a virtual machine, and now and then 500.
 * It costs the caller nothing if it does not begin, but for the waking. */
#define LATE 1e-3
/* A thread takes some tenths of a millisecond to start. */
#define START 5e-3
/* Another process holds a processor for a millisecond at least. */
#define HELD_UP 2e-4
/* One core has multiply-adds for one thread: two that want them take 1.9 times as long; on cores of their
 * own 1.0 to 1.1 times. */
#define SLOW 1.4

void mlp_advice_start(struct mlp_advice *advice, double now)
{
    *advice = (struct mlp_advice){.missed = now + START};
}

void mlp_advice_note(struct mlp_advice *advice, enum mlp_sign sign, double now)
{
    advice->missed = 0.0;
    if ((sign == MLP_SIGN_GOOD) != (advice->last == MLP_SIGN_GOOD))
        advice->changes++;
    advice->last = sign;
    if (sign == MLP_SIGN_GOOD) {
        advice->sign = sign;
        advice->until = now + LOOK;
        return;
    }
    const double most = sign == MLP_SIGN_SHARED_CORE ? MOST_SHARED : MOST;
    const int again = advice->wait > 0.0 && now < advice->ended + AGAIN * advice->wait;
    advice->wait = again ? 2.0 * advice->wait : FIRST;
    if (advice->wait > most)
        advice->wait = most;
    advice->sign = sign;
    advice->until = advice->ended = now + advice->wait;
}

void mlp_advice_miss(struct mlp_advice *advice, double since, double now)
{
    if (advice->missed == 0.0)
        advice->missed = since;
    if (now - advice->missed > LATE)
        mlp_advice_note(advice, MLP_SIGN_LATE, now);
}

void mlp_advice_begun(struct mlp_advice *advice) { advice->missed = 0.0; }

int mlp_advice_bad(struct mlp_advice *advice, double now)
{
    if (advice->sign == MLP_SIGN_GOOD)
        return 0;
    if (now < advice->until)
        return 1;
    advice->sign = MLP_SIGN_GOOD;
    return 0;
}

int mlp_advice_due(const struct mlp_advice *advice, double now)
{
    return advice->sign == MLP_SIGN_GOOD && now >= advice->until;
}

enum mlp_sign mlp_advice_look(double late, int same, double slowness)
{
    return same              ? MLP_SIGN_SAME
           : late > LATE     ? MLP_SIGN_LATE
           : slowness > SLOW ? MLP_SIGN_SHARED_CORE
                             : MLP_SIGN_GOOD;
}

int mlp_advice_held_up(double worked, double waited)
{
    return waited > HELD_UP + (worked > 0.0 ? 0.5 * worked : 0.0);
}
