"""include/deltaloop.h for Cython: ``from deltaloop.mlp cimport DELTALOOP_ROWS, deltaloop_rows``."""

cdef extern from "deltaloop.h" nogil:
    const char *DELTALOOP_ROWS
    const char *DELTALOOP_SCALAR

    ctypedef void (*deltaloop_rows)(const double *x, double *y, void *context) noexcept nogil
    ctypedef double (*deltaloop_scalar)(int count, double *x, void *context) noexcept nogil
