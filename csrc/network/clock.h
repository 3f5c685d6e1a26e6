/* clock.h - what the system tells of the time, and of where a thread runs. */
#ifndef MLP_CLOCK_H
#define MLP_CLOCK_H

/* Seconds of a clock that only ever advances. */
double mlp_seconds(void);

/* The number of the processor that this thread runs on, or -1 where the system does not tell. */
int mlp_processor(void);

#endif
