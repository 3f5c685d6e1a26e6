/* One network on a Cortex-M: how many instructions a call takes, and how much stack. See c_export.py.
 *
 * Compiled with -DRUN=run_name -DREAL=float -DINPUTS=2 -DOUTPUTS=1. Without -DREPORT it is the smallest
 * program that calls the network, for `size`; with -DREPORT it prints instructions and bytes of stack.
 * QEMU counts one instruction as one nanosecond (-icount shift=0), and the timer of the processor ticks
 * every 40 ns on its boards mps2, every NS_PER_TICK on others. */
#include <stdint.h>
#ifdef REPORT
#include <stdio.h>
#endif

void RUN(const REAL *x, REAL *y);

static volatile REAL seen;

#ifdef REPORT
#ifndef NS_PER_TICK
#define NS_PER_TICK 40
#endif
#define CONTROL (*(volatile uint32_t *)0xE000E010U)
#define RELOAD (*(volatile uint32_t *)0xE000E014U)
#define CURRENT (*(volatile uint32_t *)0xE000E018U)

enum { CALLS = 400, PAINTED = 2048, PAINT = 0x5A5A5A5A };

/* The words below the stack of the caller that a call of RUN has written to. */
static __attribute__((noinline)) void paint(void)
{
    volatile uint32_t words[PAINTED];
    for (int i = 0; i < PAINTED; i++)
        words[i] = PAINT;
}

static __attribute__((noinline)) int written(void)
{
    volatile uint32_t words[PAINTED];
    int i = 0;
    while (i < PAINTED && words[i] == PAINT)
        i++;
    return (PAINTED - i) * 4;
}

static __attribute__((noinline)) uint32_t ticks(const REAL *x, REAL *y)
{
    uint32_t begin = CURRENT;
    for (int i = 0; i < CALLS; i++)
        RUN(x, y);
    return (begin - CURRENT) & 0xFFFFFFU;
}
#endif

int main(void)
{
    static REAL x[INPUTS], y[OUTPUTS];
    for (int i = 0; i < INPUTS; i++)
        x[i] = (REAL)((i * 7 + 3) % 16 - 8) / (REAL)8;
    RUN(x, y);
    seen = y[0];
#ifdef REPORT
    RELOAD = 0xFFFFFFU;
    CURRENT = 0;
    CONTROL = 5;
    paint();
    RUN(x, y);
    int stack = written();
    uint32_t n = ticks(x, y);
    printf("instructions %lu stack %d output %.9g\n",
           (unsigned long)(n * (uint64_t)NS_PER_TICK / CALLS), stack, (double)y[0]);
#endif
    return 0;
}
