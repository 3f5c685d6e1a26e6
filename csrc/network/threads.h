/* threads.h - the team of threads that one call works with, and how work is shared among them.
 *
 * Threads share nothing but parts, and a part computes the same whoever does: no bit of a result
 * depends on how many there are. */
#ifndef MLP_THREADS_H
#define MLP_THREADS_H

#include <stddef.h>

/* So many at most, whatever is asked for: a bound for arithmetic, not a tuned figure. */
#define MLP_MAX_THREADS ((size_t)256)

/* The caller, thread 0, and the workers that it has borrowed, 1 to n_threads - 1. */
struct mlp_team {
    size_t n_threads;
    struct mlp_worker *workers;
    int rare;  /* not opened soon after another: only long work is worth waking its workers */
    int bold;  /* of a fit: the model may be bolder */
    int tried; /* the caller tries whether it pays: two threads of one core may as well */
};
typedef void (*mlp_task)(void *context, size_t thread, size_t part);

/* As many threads as there are idle, at most n_threads. Cannot fail: the caller remains. */
void mlp_team_open(struct mlp_team *team, size_t n_threads);
void mlp_team_close(struct mlp_team *team);
/* task(context, thread, part) for part = 0..n_parts - 1, on up to n_threads threads of the team, in
 * any order; returns when all are done. */
void mlp_team_run(const struct mlp_team *team, size_t n_threads, size_t n_parts, mlp_task task,
                  void *context);

/* How many threads so many multiply-adds between two barriers are worth, when `grain` of them are
 * worth one, of those that bring something just now (advice.h). With a grain of 1 or less, which tests
 * set, all of them count. */
size_t mlp_team_size(const struct mlp_team *team, double grain, double work);
/* Whether just now a second thread brings something, as far as is known. */
int mlp_team_pays(const struct mlp_team *team);
/* Looks at the workers while the caller works on alone, if that is due at `now` (mlp_seconds). What is
 * seen counts from the next call of one of these functions on. */
void mlp_team_look(const struct mlp_team *team, double now);
/* How often it has changed whether the workers bring something. */
unsigned mlp_team_changes(const struct mlp_team *team);

/* Where part number `part` of n begins, when there are `parts`: multiples of `unit` but for the end. */
static inline size_t mlp_part_of(size_t n, size_t parts, size_t part, size_t unit)
{
    const size_t units = n / unit + (n % unit != 0);
    const size_t start = unit * (units / parts * part + units % parts * part / parts);
    return start < n ? start : n;
}
/* The same in cache lines of doubles. */
static inline size_t mlp_part(size_t n, size_t parts, size_t part)
{
    return mlp_part_of(n, parts, part, 8);
}

/* The binary tree in which what n parts computed is added up: neighbours, then neighbours of neighbours.
 * The statement that follows adds part `from` to part `to`; part 0 is left with the sum. */
#define MLP_TREE(n, to, from)                                                                      \
    for (size_t stride_ = 1; stride_ < (n); stride_ *= 2)                                          \
        for (size_t to = 0, from = stride_; from < (n); to += 2 * stride_, from += 2 * stride_)

#endif
