/* locks.h - a lock and a condition of the system, for the pool of threads. */
#ifndef MLP_LOCKS_H
#define MLP_LOCKS_H

#if defined(_WIN32)
#include <windows.h>
typedef SRWLOCK mutex;
typedef CONDITION_VARIABLE condition;
#define MUTEX_INIT SRWLOCK_INIT
static inline void mutex_init(mutex *m) { InitializeSRWLock(m); }
static inline void mutex_lock(mutex *m) { AcquireSRWLockExclusive(m); }
static inline void mutex_unlock(mutex *m) { ReleaseSRWLockExclusive(m); }
static inline void condition_init(condition *c) { InitializeConditionVariable(c); }
static inline void condition_wait(condition *c, mutex *m)
{
    SleepConditionVariableSRW(c, m, INFINITE, 0);
}
static inline void condition_signal(condition *c) { WakeConditionVariable(c); }
#else
#include <pthread.h>
#include <signal.h>
typedef pthread_mutex_t mutex;
typedef pthread_cond_t condition;
#define MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
static inline void mutex_init(mutex *m) { pthread_mutex_init(m, NULL); }
static inline void mutex_lock(mutex *m) { pthread_mutex_lock(m); }
static inline void mutex_unlock(mutex *m) { pthread_mutex_unlock(m); }
static inline void condition_init(condition *c) { pthread_cond_init(c, NULL); }
static inline void condition_wait(condition *c, mutex *m) { pthread_cond_wait(c, m); }
static inline void condition_signal(condition *c) { pthread_cond_signal(c); }
#endif

#endif
