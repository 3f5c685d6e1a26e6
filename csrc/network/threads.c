/* threads.c - the pool: worker threads that a call borrows for its team and returns.
 *
 * The one file of the core with global state. Workers are started when they are first asked for,
 * sleep while nobody needs them, and are never joined; after fork() the child begins with an empty
 * pool. A call that finds no idle worker goes on alone: several callers at once share the workers
 * that there are instead of starting more. */
#define _POSIX_C_SOURCE 200809L /* pthread_sigmask */
#include "network/threads.h"

#include "kernels/kernels.h"
#include "network/advice.h"
#include "network/clock.h"
#include "network/look.h"
#include "network/memory.h"

#if defined(__STDC_NO_ATOMICS__)
/* MSVC's own compiler: every team is the caller alone. */
void mlp_team_open(struct mlp_team *team, size_t n_threads)
{
    (void)n_threads;
    *team = (struct mlp_team){.n_threads = 1};
}
void mlp_team_close(struct mlp_team *team) { (void)team; }
void mlp_team_run(const struct mlp_team *team, size_t n_threads, size_t n_parts, mlp_task task,
                  void *context)
{
    (void)team, (void)n_threads;
    for (size_t part = 0; part < n_parts; part++)
        task(context, 0, part);
}
size_t mlp_team_size(const struct mlp_team *team, double grain, double work)
{
    (void)team, (void)grain, (void)work;
    return 1;
}
int mlp_team_pays(const struct mlp_team *team)
{
    (void)team;
    return 0;
}
void mlp_team_look(const struct mlp_team *team, double now) { (void)team, (void)now; }
unsigned mlp_team_changes(const struct mlp_team *team)
{
    (void)team;
    return 0;
}
#else

#include "network/locks.h"

#include <stdatomic.h>

/* Looks at a counter before a thread goes to sleep: 40 to 150 us on processors whose pause takes 40
 * to 140 cycles. Longer than the caller's share between two runs of one fit, and than the 5 us that
 * waking takes. */
#define SPIN 4000
/* The part of a grain from which a fit takes another thread. */
#define BOLD 0.25
/* To wake a worker costs the caller 9 us in a virtual machine, and the worker begins after 30: that pays
 * from so many grains on. Of calls within so many seconds of each other the second one wakes it, for the
 * next ones find it awake. */
#define ASLEEP 5.0
#define RARE 2e-4
/* Reading the clock takes 26 ns: of runs shorter than this, one in so many is measured. */
#define BRIEF 2e-5
#define SAMPLE 16

/* One run. Each thread has a share of the parts, the same one whenever their numbers are the same,
 * so that what it worked on is still in its caches; then it takes what the others have not begun. */
struct job {
    mlp_task task;
    void *context;
    size_t n_threads, n_parts;
    int alone_is_better;                 /* than threads of one core */
    atomic_size_t next[MLP_MAX_THREADS]; /* of each share */
};

/* A worker has no job, has been given one that the caller may still take back, or is at it. */
enum state { IDLE, POSTED, RUNNING };

/* One side waits for the state to change, spinning first and then asleep. What the caller's side of it is
 * belongs to the one who has it in his team. */
struct mlp_worker {
    _Alignas(64) atomic_int state;
    atomic_int worker_asleep, caller_asleep;
    mutex lock;
    condition changed;
    struct job *job;         /* of the state POSTED or RUNNING; NULL: only a look is wanted */
    struct mlp_look look;    /* the worker's in the state RUNNING */
    size_t thread;           /* its number in the team */
    struct mlp_worker *next; /* in the team, or among the idle */
    /* The caller's. */
    struct mlp_advice advice;
    int brief;     /* the last run measured was */
    unsigned runs; /* since then */
    int posted;    /* in this run */
    double start;  /* of this run; 0: it is not measured */
};

static struct {
    mutex lock;
    struct mlp_worker *idle;
    size_t n_workers; /* idle and busy ones */
    double opened;    /* when the last team was */
    int registered;   /* the handlers of fork() are */
} pool = {.lock = MUTEX_INIT};

/* Changes the state, and wakes the other side if it sleeps. Either that side sees the new state
 * before it sleeps, or this side sees it asleep: all these operations are sequentially consistent. */
static void change(struct mlp_worker *worker, enum state state, atomic_int *asleep)
{
    atomic_store(&worker->state, (int)state);
    if (atomic_load(asleep)) {
        mutex_lock(&worker->lock);
        condition_signal(&worker->changed);
        mutex_unlock(&worker->lock);
    }
}

/* Returns 1 once the state is `state`, 0 if it is not after `spins` looks. */
static int spin(struct mlp_worker *worker, enum state state, int spins)
{
    for (int i = 0; i < spins; i++) {
        if (atomic_load_explicit(&worker->state, memory_order_acquire) == (int)state)
            return 1;
        mlp_pause();
    }
    return 0;
}

/* Sleeps until the state is `state`. */
static void doze(struct mlp_worker *worker, enum state state, atomic_int *asleep)
{
    mutex_lock(&worker->lock);
    atomic_store(asleep, 1);
    while (atomic_load(&worker->state) != (int)state)
        condition_wait(&worker->changed, &worker->lock);
    atomic_store(asleep, 0);
    mutex_unlock(&worker->lock);
}

/* Whether the state was `from`, and has become `to`. */
static int exchange(struct mlp_worker *worker, enum state from, enum state to)
{
    int expected = (int)from;
    return atomic_compare_exchange_strong(&worker->state, &expected, (int)to);
}

static size_t share_begin(const struct job *job, size_t share)
{
    const size_t n = job->n_parts, threads = job->n_threads;
    return n / threads * share + n % threads * share / threads;
}

static void work(struct job *job, size_t thread)
{
    for (size_t i = 0; i < job->n_threads; i++) {
        const size_t share = (thread + i) % job->n_threads;
        const size_t end = share_begin(job, share + 1);
        atomic_size_t *next = &job->next[share];
        while (atomic_load_explicit(next, memory_order_relaxed) < end) {
            const size_t part = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
            if (part < end)
                job->task(job->context, thread, part);
        }
    }
}

/* The worker's part of a look. Whether it should go on with the job. */
static int take(struct mlp_worker *worker)
{
    mlp_look_take(&worker->look);
    const enum mlp_sign sign = worker->look.sign;
    const struct job *job = worker->job;
    return sign == MLP_SIGN_GOOD ||
           (sign == MLP_SIGN_SHARED_CORE && job != NULL && !job->alone_is_better);
}

static void serve(struct mlp_worker *worker)
{
    mlp_fp_enter(); /* this thread runs nothing else */
    for (int good = 1;;) {
        if (!good || !spin(worker, POSTED, SPIN))
            doze(worker, POSTED, &worker->worker_asleep);
        if (exchange(worker, POSTED, RUNNING)) {
            good = !worker->look.wanted || take(worker);
            if (good && worker->job != NULL)
                work(worker->job, worker->thread);
            change(worker, IDLE, &worker->caller_asleep);
        }
    }
}

#if defined(_WIN32)
static DWORD WINAPI entry(void *worker)
{
    serve(worker);
    return 0;
}
static int start(struct mlp_worker *worker)
{
    const HANDLE thread = CreateThread(NULL, 0, entry, worker, 0, NULL);
    if (thread == NULL)
        return 0;
    CloseHandle(thread);
    return 1;
}
static void register_fork(void) {}
#else
static void *entry(void *worker)
{
    serve(worker);
    return NULL;
}
/* Signals stay with the threads that the caller's program knows of. */
static int start(struct mlp_worker *worker)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread, NULL, entry, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed)
        pthread_detach(thread);
    return !failed;
}
static void before_fork(void) { mutex_lock(&pool.lock); }
static void after_fork(void) { mutex_unlock(&pool.lock); }
/* The threads are not there in the child; what they worked in is left as it is. */
static void after_fork_in_child(void)
{
    mutex_init(&pool.lock);
    pool.idle = NULL;
    pool.n_workers = 0;
}
static void register_fork(void) { pthread_atfork(before_fork, after_fork, after_fork_in_child); }
#endif

/* A new worker, or NULL when the system has no memory or no thread for one. */
static struct mlp_worker *worker_new(void)
{
    struct mlp_worker *worker = (void *)mlp_allocate(sizeof *worker / sizeof(double));
    if (worker == NULL)
        return NULL;
    atomic_init(&worker->state, IDLE);
    atomic_init(&worker->worker_asleep, 0);
    atomic_init(&worker->caller_asleep, 0);
    mutex_init(&worker->lock);
    condition_init(&worker->changed);
    worker->look = (struct mlp_look){0};
    mlp_advice_start(&worker->advice, mlp_seconds());
    worker->brief = 0;
    worker->runs = 0;
    if (!start(worker)) {
        mlp_release((void *)worker);
        return NULL;
    }
    return worker;
}

/* Those that bring nothing come last: a run on fewer threads does without them. */
static void number(struct mlp_team *team, double now)
{
    size_t thread = 1;
    for (int last = 0; last < 2; last++) {
        for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
            if (mlp_advice_bad(&w->advice, now) == last)
                w->thread = thread++;
        }
    }
}

void mlp_team_open(struct mlp_team *team, size_t n_threads)
{
    *team = (struct mlp_team){.n_threads = 1};
    if (n_threads <= 1)
        return;
    if (n_threads > MLP_MAX_THREADS)
        n_threads = MLP_MAX_THREADS;
    const double now = mlp_seconds();
    mutex_lock(&pool.lock);
    if (!pool.registered) {
        register_fork();
        pool.registered = 1;
    }
    while (team->n_threads < n_threads) {
        struct mlp_worker *worker = pool.idle;
        if (worker != NULL) {
            pool.idle = worker->next;
        } else {
            if (pool.n_workers + 1 >= n_threads || (worker = worker_new()) == NULL)
                break;
            pool.n_workers++;
        }
        worker->runs = 0;
        worker->next = team->workers;
        team->workers = worker;
        team->n_threads++;
    }
    team->rare = now - pool.opened > RARE;
    pool.opened = now;
    mutex_unlock(&pool.lock);
    number(team, now);
}

/* What the last look has shown; 0 while the worker is still at it, or at the work of one. */
static int settle(struct mlp_worker *worker, double *now)
{
    const int state = atomic_load_explicit(&worker->state, memory_order_acquire);
    if (state == RUNNING || (state == POSTED && !exchange(worker, POSTED, IDLE)))
        return 0;
    if (state == POSTED) {
        *now = *now > 0.0 ? *now : mlp_seconds();
        mlp_advice_miss(&worker->advice, worker->look.asked, *now);
    } else if (worker->look.taken) {
        worker->look.taken = 0;
        *now = *now > 0.0 ? *now : mlp_seconds();
        mlp_advice_note(&worker->advice, worker->look.sign, *now);
    }
    worker->look.wanted = 0;
    return 1;
}

void mlp_team_close(struct mlp_team *team)
{
    if (team->workers == NULL)
        return;
    double now = 0.0;
    struct mlp_worker *last = team->workers;
    settle(last, &now);
    while (last->next != NULL) {
        last = last->next;
        settle(last, &now);
    }
    mutex_lock(&pool.lock);
    last->next = pool.idle;
    pool.idle = team->workers;
    mutex_unlock(&pool.lock);
    *team = (struct mlp_team){.n_threads = 1};
}

/* ---- how many ---- */

/* Whether the worker brings nothing. */
static int bad(const struct mlp_team *team, struct mlp_worker *worker, double *now)
{
    struct mlp_advice *advice = &worker->advice;
    if (advice->sign == MLP_SIGN_GOOD || (team->tried && advice->sign == MLP_SIGN_SHARED_CORE))
        return 0;
    *now = *now > 0.0 ? *now : mlp_seconds();
    return mlp_advice_bad(advice, *now);
}

size_t mlp_team_size(const struct mlp_team *team, double grain, double work)
{
    const double n = work / (team->bold ? BOLD * grain : grain);
    if (n < 2.0)
        return 1;
    const size_t most = n >= (double)team->n_threads ? team->n_threads : (size_t)n;
    size_t count = 1, awake = 1;
    double now = 0.0;
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        if (grain <= 1.0)
            w->advice.sign = MLP_SIGN_GOOD;
        settle(w, &now);
        count += bad(team, w, &now) ? 0 : 1;
        awake += atomic_load_explicit(&w->worker_asleep, memory_order_relaxed) ? 0 : 1;
    }
    if (team->rare && !team->bold && awake == 1 && n < ASLEEP && grain > 1.0)
        return 1;
    return most < count ? most : count;
}

int mlp_team_pays(const struct mlp_team *team)
{
    double now = 0.0;
    int any = 0;
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        settle(w, &now);
        any |= !bad(team, w, &now);
    }
    return any;
}

void mlp_team_look(const struct mlp_team *team, double now)
{
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        double at = now;
        if (atomic_load_explicit(&w->state, memory_order_relaxed) == IDLE && settle(w, &at) &&
            !mlp_advice_bad(&w->advice, now) && mlp_advice_due(&w->advice, now)) {
            w->job = NULL;
            mlp_look_ask(&w->look);
            change(w, POSTED, &w->worker_asleep);
        }
    }
}

unsigned mlp_team_changes(const struct mlp_team *team)
{
    unsigned changes = 0;
    double now = 0.0;
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        settle(w, &now);
        changes += w->advice.changes;
    }
    return changes;
}

/* ---- runs ---- */

/* Gives a worker the job; 0 if it brings nothing. */
static int post(const struct mlp_team *team, struct mlp_worker *worker, struct job *job,
                double *now)
{
    if (!settle(worker, now) || bad(team, worker, now))
        return 0;
    worker->start = 0.0;
    if (worker->runs++ % (worker->brief ? SAMPLE : 1) == 0) {
        worker->start = *now = *now > 0.0 ? *now : mlp_seconds();
        if (!mlp_advice_bad(&worker->advice, *now) && mlp_advice_due(&worker->advice, *now))
            mlp_look_ask(&worker->look);
    }
    worker->job = job;
    change(worker, POSTED, &worker->worker_asleep);
    return 1;
}

/* All parts are taken: waits until the worker has done its own. One that has not begun, since the system
 * runs something else in its place, is not waited for. */
static void collect(struct mlp_worker *worker)
{
    const double start = worker->start;
    double now = 0.0;
    if (exchange(worker, POSTED, IDLE)) {
        now = mlp_seconds();
        worker->look.wanted = 0;
        mlp_advice_miss(&worker->advice, start > 0.0 ? start : now, now);
        return;
    }
    mlp_advice_begun(&worker->advice);
    if (!spin(worker, IDLE, SPIN)) {
        const double before = mlp_seconds();
        doze(worker, IDLE, &worker->caller_asleep);
        now = mlp_seconds();
        if (mlp_advice_held_up(start > 0.0 ? before - start : -1.0, now - before)) {
            worker->look.taken = 0;
            mlp_advice_note(&worker->advice, MLP_SIGN_HELD_UP, now);
        }
    }
    if (start > 0.0) {
        now = now > 0.0 ? now : mlp_seconds();
        worker->brief = now - start < BRIEF;
    }
    settle(worker, &now);
}

void mlp_team_run(const struct mlp_team *team, size_t n_threads, size_t n_parts, mlp_task task,
                  void *context)
{
    struct job job;
    int any = 0;
    if (n_threads > 1 && n_parts > 1 && team->workers != NULL) {
        double now = 0.0;
        job.task = task;
        job.context = context;
        job.n_threads = n_threads < team->n_threads ? n_threads : team->n_threads;
        job.n_parts = n_parts;
        job.alone_is_better = !team->tried && job.n_threads == 2;
        for (size_t t = 0; t < job.n_threads; t++)
            atomic_init(&job.next[t], share_begin(&job, t));
        for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
            w->posted = w->thread < job.n_threads && post(team, w, &job, &now);
            any |= w->posted;
        }
    }
    if (!any) {
        for (size_t part = 0; part < n_parts; part++)
            task(context, 0, part);
        return;
    }
    work(&job, 0);
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        if (w->posted)
            collect(w);
    }
}
#endif
