/* What the driver of the proof reads: one row for each exported network. */
#ifndef PROOF_H
#define PROOF_H

#include <stdint.h>

/* Expected numbers are kept as the integers that have their bits, so that neither the compiler's reading of decimals
   nor the order of bytes can hide a difference. */
struct network64 {
    const char *name;
    int rows, inputs, outputs;
    const uint64_t *x;        /* rows * inputs */
    const uint64_t *y;        /* rows * outputs */
    const uint64_t *jacobian; /* rows * outputs * inputs, or a null pointer */
    void (*predict)(const double *x, double *y, double *workspace);
    void (*derive)(const double *x, double *jacobian, double *workspace);
    int (*self_test)(void);
    long workspace; /* the larger one of predict's and of derive's */
};

struct training64 {
    const char *name;
    int steps, rows, inputs, outputs, parameters;
    const uint64_t *x;     /* rows * inputs, taken in turn */
    const uint64_t *y;     /* rows * outputs */
    const uint64_t *costs; /* steps */
    const uint64_t *end;   /* parameters */
    void (*init)(double *state);
    double (*step)(double *state, const double *x, const double *y);
    void (*read)(const double *state, double *parameters);
    long state;
};

struct network32 {
    const char *name;
    int rows, inputs, outputs;
    const uint32_t *x;
    const uint32_t *y;
    void (*predict)(const float *x, float *y, float *workspace);
    int (*self_test)(void);
    long workspace;
};

extern const struct network64 networks64[];
extern const struct training64 trainings64[];
extern const struct network32 networks32[];
extern const int count_networks64, count_trainings64, count_networks32;

/* Room for the largest of all. */
extern double workspace64[], given64[], got64[];
extern float workspace32[], given32[], got32[];

#endif
