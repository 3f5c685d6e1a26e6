/* clock.c - what the system tells of the time, and of where a thread runs. */
#if defined(__linux__)
#define _GNU_SOURCE /* sched_getcpu */
#include <sched.h>
#else
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#endif
#include "network/clock.h"

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

#if defined(__linux__)
int mlp_processor(void) { return sched_getcpu(); }
#elif defined(_WIN32)
int mlp_processor(void) { return (int)GetCurrentProcessorNumber(); }
#else
int mlp_processor(void) { return -1; }
#endif
