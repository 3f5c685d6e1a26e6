/* threads.c - the pool: worker threads that a call borrows for its team and returns.
 *
 * The one file of the core with global state. Workers are started when they are first asked for,
 * sleep while nobody needs them, and are never joined; after fork() the child begins with an empty
 * pool. A call that finds no idle worker goes on alone: several callers at once share the workers
 * that there are instead of starting more. */
#define _POSIX_C_SOURCE 200809L /* pthread_sigmask, clock_gettime */
#include "network/threads.h"

#include "kernels/kernels.h"
#include "network/memory.h"

#if defined(_WIN32)
#include <windows.h>
double mlp_seconds(void)
{
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (double)ticks.QuadPart / (double)frequency.QuadPart;
}
#else
#include <time.h>
double mlp_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
#endif

/* The part of a grain from which a fit tries another thread. */
#define MEASURED 0.25

size_t mlp_team_size(const struct mlp_team *team, double grain, double work)
{
    const double n = work / (team->measured ? MEASURED * grain : grain);
    return n >= (double)team->n_threads ? team->n_threads : n < 2.0 ? 1 : (size_t)n;
}

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
#else

#include <stdatomic.h>

#if defined(_WIN32)
typedef SRWLOCK mutex;
typedef CONDITION_VARIABLE condition;
#define MUTEX_INIT SRWLOCK_INIT
static void mutex_init(mutex *m) { InitializeSRWLock(m); }
static void mutex_lock(mutex *m) { AcquireSRWLockExclusive(m); }
static void mutex_unlock(mutex *m) { ReleaseSRWLockExclusive(m); }
static void condition_init(condition *c) { InitializeConditionVariable(c); }
static void condition_wait(condition *c, mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void condition_signal(condition *c) { WakeConditionVariable(c); }
#else
#include <pthread.h>
#include <signal.h>
typedef pthread_mutex_t mutex;
typedef pthread_cond_t condition;
#define MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
static void mutex_init(mutex *m) { pthread_mutex_init(m, NULL); }
static void mutex_lock(mutex *m) { pthread_mutex_lock(m); }
static void mutex_unlock(mutex *m) { pthread_mutex_unlock(m); }
static void condition_init(condition *c) { pthread_cond_init(c, NULL); }
static void condition_wait(condition *c, mutex *m) { pthread_cond_wait(c, m); }
static void condition_signal(condition *c) { pthread_cond_signal(c); }
#endif

/* Looks at a counter before a thread goes to sleep: 40 to 150 us on processors whose pause takes 40
 * to 140 cycles. Longer than the caller's share between two runs of one fit, and than the 5 us that
 * waking takes. */
#define SPIN 4000

/* One run. Each thread has a share of the parts, the same one whenever their numbers are the same,
 * so that what it worked on is still in its caches; then it takes what the others have not begun. */
struct job {
    mlp_task task;
    void *context;
    size_t n_threads, n_parts;
    atomic_size_t next[MLP_MAX_THREADS]; /* of each share */
};

/* A worker has no job, has been given one that the caller may still take back, or is at it. */
enum state { IDLE, POSTED, RUNNING };

/* One side waits for the state to change, spinning first and then asleep. */
struct mlp_worker {
    _Alignas(64) atomic_int state;
    atomic_int worker_asleep, caller_asleep;
    mutex lock;
    condition changed;
    struct job *job;         /* of the state POSTED or RUNNING */
    size_t thread;           /* its number in the team */
    struct mlp_worker *next; /* in the team, or among the idle */
};

static struct {
    mutex lock;
    struct mlp_worker *idle;
    size_t n_workers; /* idle and busy ones */
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

/* Returns once the state is `state`. */
static void await(struct mlp_worker *worker, enum state state, atomic_int *asleep)
{
    for (int i = 0; i < SPIN; i++) {
        if (atomic_load_explicit(&worker->state, memory_order_acquire) == (int)state)
            return;
        mlp_pause();
    }
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

static void serve(struct mlp_worker *worker)
{
    mlp_fp_enter(); /* this thread runs nothing else */
    for (;;) {
        await(worker, POSTED, &worker->worker_asleep);
        if (exchange(worker, POSTED, RUNNING)) {
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
    if (!start(worker)) {
        mlp_release((void *)worker);
        return NULL;
    }
    return worker;
}

void mlp_team_open(struct mlp_team *team, size_t n_threads)
{
    *team = (struct mlp_team){.n_threads = 1};
    if (n_threads <= 1)
        return;
    if (n_threads > MLP_MAX_THREADS)
        n_threads = MLP_MAX_THREADS;
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
        worker->thread = team->n_threads++;
        worker->next = team->workers;
        team->workers = worker;
    }
    mutex_unlock(&pool.lock);
}

void mlp_team_close(struct mlp_team *team)
{
    if (team->workers == NULL)
        return;
    struct mlp_worker *last = team->workers;
    while (last->next != NULL)
        last = last->next;
    mutex_lock(&pool.lock);
    last->next = pool.idle;
    pool.idle = team->workers;
    mutex_unlock(&pool.lock);
    *team = (struct mlp_team){.n_threads = 1};
}

void mlp_team_run(const struct mlp_team *team, size_t n_threads, size_t n_parts, mlp_task task,
                  void *context)
{
    if (n_threads <= 1 || n_parts <= 1 || team->workers == NULL) {
        for (size_t part = 0; part < n_parts; part++)
            task(context, 0, part);
        return;
    }
    struct job job;
    job.task = task;
    job.context = context;
    job.n_threads = n_threads < team->n_threads ? n_threads : team->n_threads;
    job.n_parts = n_parts;
    for (size_t t = 0; t < job.n_threads; t++)
        atomic_init(&job.next[t], share_begin(&job, t));
    /* The list begins with the team's last thread. */
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        if (w->thread < job.n_threads) {
            w->job = &job;
            change(w, POSTED, &w->worker_asleep);
        }
    }
    work(&job, 0);
    /* All parts are taken. A worker that has not begun, since the system runs something else in its
     * place, is not waited for. */
    for (struct mlp_worker *w = team->workers; w != NULL; w = w->next) {
        if (w->thread < job.n_threads && !exchange(w, POSTED, IDLE))
            await(w, IDLE, &w->caller_asleep);
    }
}
#endif
