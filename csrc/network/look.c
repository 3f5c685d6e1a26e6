/* look.c - a look at a worker: 1 us of the caller's time, and 2 of the worker's. */
#include "network/look.h"

#include "network/clock.h"

/* Chains of multiply-adds that keep a core's units busy for half a microsecond, however they are compiled. */
#define CHAINS 24
#define ROUNDS 100
/* The least time of some, which nothing has interrupted. */
#define TIMES 2

static double arithmetic(void)
{
    volatile double factor = 0.999, sink;
    double least = 1.0;
    for (int time = 0; time < TIMES; time++) {
        const double m = factor, start = mlp_seconds();
        double a[CHAINS];
        for (int k = 0; k < CHAINS; k++)
            a[k] = (double)k;
        for (int i = 0; i < ROUNDS; i++) {
            for (int k = 0; k < CHAINS; k++)
                a[k] = a[k] * m + 0.001;
        }
        for (int k = 1; k < CHAINS; k++)
            a[0] += a[k];
        sink = a[0];
        (void)sink;
        const double took = mlp_seconds() - start;
        least = took < least ? took : least;
    }
    return least;
}

void mlp_look_ask(struct mlp_look *look)
{
    look->alone = arithmetic();
    look->processor = mlp_processor();
    look->wanted = 1;
    look->asked = mlp_seconds();
}

void mlp_look_take(struct mlp_look *look)
{
    const double late = mlp_seconds() - look->asked;
    const int processor = mlp_processor(), same = processor >= 0 && processor == look->processor;
    look->sign = mlp_advice_look(late, same, same ? 0.0 : arithmetic() / look->alone);
    look->wanted = 0;
    look->taken = 1;
}
