/* A network as a C function: what the capsules of a deltaloop.Predictor hold. For C and C++; the folder of this
 * file is deltaloop.get_include(). docs/reference/c-interface.md says what the functions promise. */
#ifndef DELTALOOP_H
#define DELTALOOP_H

#ifdef __cplusplus
extern "C" {
#endif

/* The names of the capsules, for PyCapsule_GetPointer. PyCapsule_GetContext gives `context`. */
#define DELTALOOP_ROWS "void (const double *, double *, void *)"
#define DELTALOOP_SCALAR "double (int, double *, void *)"

/* From the instances (n, m^(0)) at x to the outputs (n, m^(L)) at y; n is that of net.predictor(n). */
typedef void (*deltaloop_rows)(const double *x, double *y, void *context);

/* The output of one instance of `count` values; NaN if `count` is not m^(0). */
typedef double (*deltaloop_scalar)(int count, double *x, void *context);

#ifdef __cplusplus
}
#endif

#endif
