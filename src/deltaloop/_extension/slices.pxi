# Signals are served about every 50 ms of a long call.
#
# Predictions on several threads ask while they compute: to end a slice takes all threads, and slices of
# 50 ms made predictions with 784-2048-2048-10 take 15 to 20 % longer. Other calls stop between two slices. Their
# rows share no sum, so that the slices change no bit; C and its gradient go on in C where they stopped.

from time import perf_counter

cdef extern from "Python.h":
    int raised_by_signals "PyErr_CheckSignals"() noexcept


cdef int signalled() noexcept nogil:
    """Serves signals; whether a handler has raised.

    They are the main thread's, and other threads do not ask: they would wait for the GIL, and one that
    outlives the interpreter would end there, while workers read the rows that its stack describes.
    """
    if this_thread() != main_thread:
        return 0
    with gil:
        return raised_by_signals()


cdef double SLICE_SECONDS = 0.05
# Multiply-adds of a call that is one slice, or of the first one, which measures the machine: some
# milliseconds.
cdef double ONE_SLICE = 5e7
# Rows of a slice at least: with fewer the weights are read too often.
cdef size_t LEAST_ROWS = 64
# Whole chunks of C's, where a slice has several.
cdef size_t CHUNK = 256


cdef inline size_t first_rows(size_t n, double row_work, size_t least=LEAST_ROWS) noexcept:
    """Rows of the first slice of n, of so many multiply-adds each: all of them where these are few."""
    cdef double rows = ONE_SLICE / row_work
    if <double>n <= rows:
        return n
    return min(n, max(least, <size_t>rows))


cdef inline double adapted(double size, double before) except -1.0:
    """The size of the next slice, after one of this size that began at a moment; signals are served."""
    PyErr_CheckSignals()
    cdef double seconds = max(<double>perf_counter() - before, 1e-9)
    return size * min(max(SLICE_SECONDS / seconds, 0.1), 10.0)


cdef inline size_t next_rows(size_t rows, size_t left, double before,
                             size_t least=LEAST_ROWS) except? 0:
    """Rows of the next slice, where so many are left; signals are served."""
    if left == 0:
        return 0
    rows = max(least, <size_t>adapted(<double>rows, before))
    if rows > CHUNK:
        rows -= rows % CHUNK
    return min(left, rows)


cdef inline void begin_at(const mlp_matrix *whole, size_t begin, mlp_matrix *part) noexcept:
    """Describes the rows from `begin` on."""
    part[0] = whole[0]
    part.data = whole.data + <ptrdiff_t>begin * whole.row_stride
    if whole.starts != NULL:
        part.starts = whole.starts + begin
