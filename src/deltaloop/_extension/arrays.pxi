# Arrays as C reads them: their checks, their descriptions, and what only looks at an array.

cdef dict DTYPES = {
    ("f", 8): MLP_FLOAT64, ("f", 4): MLP_FLOAT32, ("i", 1): MLP_INT8, ("i", 2): MLP_INT16,
    ("i", 4): MLP_INT32, ("i", 8): MLP_INT64, ("u", 1): MLP_UINT8, ("u", 2): MLP_UINT16,
    ("u", 4): MLP_UINT32, ("u", 8): MLP_UINT64, ("b", 1): MLP_UINT8,
}


def is_direct(cnp.ndarray array not None):
    """Whether C reads this array's elements as they are: type, byte order and alignment."""
    return ((array.dtype.kind, array.dtype.itemsize) in DTYPES and array.dtype.isnative
            and cnp.PyArray_ISALIGNED(array))


cdef int matrix_of(cnp.ndarray array, size_t n, size_t columns, bint labels,
                   mlp_matrix *m) except -1:
    """Describes an array (n, columns), or class indices (n,), to C, which relies on its shape."""
    cdef bint double = cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE and cnp.PyArray_ISBEHAVED_RO(array)
    if (cnp.PyArray_NDIM(array) != (1 if labels else 2) or <size_t>cnp.PyArray_DIM(array, 0) != n
            or (not labels and <size_t>cnp.PyArray_DIM(array, 1) != columns)
            or not (double or is_direct(array))):
        raise ValueError(f"an array of {n} rows and {columns} columns is needed here")
    m.data = <const char *>cnp.PyArray_DATA(array)
    m.columns = columns
    m.kind = MLP_LABELS if labels else MLP_VALUES
    m.dtype = MLP_FLOAT64 if double else DTYPES[array.dtype.kind, array.dtype.itemsize]
    m.row_stride = cnp.PyArray_STRIDE(array, 0)
    m.column_stride = 0 if labels else cnp.PyArray_STRIDE(array, 1)
    m.offset = m.scale = NULL
    m.rows = NULL
    m.starts = NULL
    m.places = NULL
    m.blocks = NULL
    return 0


# What the targets of a Problem are where they are not complete: see mlp.h.
GAPS = <int>MLP_GAPS
SLOPES = <int>MLP_SLOPES


cdef int targets_of(cnp.ndarray y, size_t n, size_t columns, bint labels, problem,
                    mlp_matrix *m) except -1:
    """As matrix_of, for targets of a Problem."""
    matrix_of(y, n, columns, labels, m)
    if not labels and problem.targets:
        m.kind = <mlp_kind><int>problem.targets
    return 0


cdef object pin(object array):
    """What keeps an array's memory where it is as long as it lives, whoever else has the array.

    NumPy moves the memory of no array that has a weak reference, not even by
    ``resize(refcheck=False)``.
    """
    cdef object base = array
    while isinstance(base, cnp.ndarray):
        array = base
        base = cnp.get_array_base(<cnp.ndarray>array)
    return PyWeakref_NewRef(array, None)


def survey_csr(int[::1] places not None, cnp.int64_t[::1] starts not None, Py_ssize_t columns):
    """(row, place, canonical) of CSR rows: the first row whose terms lie elsewhere, or have a place out of
    0..columns-1, or -1; that place, or -1; and whether the places of every row ascend.
    """
    cdef Py_ssize_t n = starts.shape[0] - 1, i, t, row = -1, place = -1
    cdef int before
    cdef bint canonical = True
    with nogil:
        for i in range(n):
            if starts[i] < 0 or starts[i + 1] < starts[i] or starts[i + 1] > places.shape[0]:
                row = i
                break
            before = -1
            for t in range(starts[i], starts[i + 1]):
                if places[t] < 0 or places[t] >= columns:
                    row, place = i, places[t]
                    break
                canonical = canonical and places[t] > before
                before = places[t]
            if row >= 0:
                break
    return row, place, canonical


@cython.auto_pickle(False)
cdef class Csr:
    """CSR rows as C reads them, in the place of an array (n, columns).

    Row i is 0 but for `values` [t] in columns `places` [t], which ascend, starts[i] <= t <
    starts[i + 1]: exact float64, int32 and int64, checked, and nobody else writes places and starts.
    """

    cdef readonly cnp.ndarray values, places, starts
    cdef readonly tuple shape
    cdef object pinned, __weakref__

    def __cinit__(self, cnp.ndarray values not None, cnp.ndarray places not None,
                  cnp.ndarray starts not None, Py_ssize_t columns):
        if (not is_exact(values) or places.dtype != np.int32 or starts.dtype != np.int64
                or not cnp.PyArray_ISCARRAY_RO(places) or not cnp.PyArray_ISCARRAY_RO(starts)
                or starts.size < 1 or values.size < places.size):
            raise ValueError("exact arrays of a CSR matrix are needed here")
        self.pinned = pin(values), pin(places), pin(starts)
        self.values, self.places, self.starts = values, places, starts
        self.shape = (starts.size - 1, columns)

    def __len__(self):
        return self.shape[0]

    @property
    def ndim(self):
        """2: rows and columns."""
        return 2

    @property
    def nbytes(self):
        """Bytes of the terms."""
        return 12 * self.n_terms

    @property
    def n_terms(self):
        """How many values there are that are not left out."""
        return int(self.starts[-1] - self.starts[0])

    def __getitem__(self, index):
        """These rows: of a slice without a step on the same memory, of indices copied."""
        if isinstance(index, slice):
            begin, end, _ = index.indices(self.shape[0])
            return Csr(self.values, self.places, self.starts[begin:max(end, begin) + 1],
                       self.shape[1])
        index = np.asarray(index)
        begin = self.starts[:-1][index]
        counts = self.starts[1:][index] - begin
        starts = np.zeros(len(counts) + 1, np.int64)
        np.cumsum(counts, out=starts[1:])
        terms = np.arange(starts[-1]) + np.repeat(begin - starts[:-1], counts)
        return Csr(self.values[terms], self.places[terms], starts, self.shape[1])

    def toarray(self):
        """The same as an array, with its zeros."""
        result = np.zeros(self.shape)
        terms = slice(self.starts[0], self.starts[-1])
        rows = np.repeat(np.arange(self.shape[0]), np.diff(self.starts))
        result[rows, self.places[terms]] += self.values[terms]
        return result


cdef int rows_of(object x, size_t n, size_t columns, mlp_matrix *m) except -1:
    """Describes instances (n, columns), an array, Csr or Blocks, as matrix_of does."""
    cdef Csr csr
    if type(x) is Blocks:
        return blocks_of(x, n, columns, m)
    if type(x) is not Csr:
        return matrix_of(x, n, columns, False, m)
    csr = x
    if <size_t>csr.shape[0] != n or <size_t>csr.shape[1] != columns:
        raise ValueError(f"a matrix of {n} rows and {columns} columns is needed here")
    memset(m, 0, sizeof(mlp_matrix))
    m.data = <const char *>cnp.PyArray_DATA(csr.values)
    m.columns = columns
    m.dtype = MLP_FLOAT64
    m.starts = <const int64_t *>cnp.PyArray_DATA(csr.starts)
    m.places = <const uint32_t *>cnp.PyArray_DATA(csr.places)
    return 0


cdef class Weights:
    """The weights (n,) of instances, described to C; None stands for 1 each."""

    cdef object array, pinned
    cdef mlp_matrix matrix

    def __cinit__(self, array, size_t n):
        self.array = array
        if array is not None:
            self.pinned = pin(array)
            matrix_of(array.reshape(-1, 1), n, 1, False, &self.matrix)

    cdef const mlp_matrix *pointer(self) noexcept:
        return NULL if self.array is None else &self.matrix


cdef inline bint is_exact(object array) noexcept:
    """An ndarray proper: float64 in this machine's byte order, aligned, C-contiguous."""
    return (type(array) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_DOUBLE
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef inline void exact_matrix(cnp.ndarray array, size_t columns, mlp_matrix *m) noexcept:
    """As matrix_of, for an exact array of one or two dimensions."""
    m.data = <const char *>cnp.PyArray_DATA(array)
    m.columns = columns
    m.kind = MLP_VALUES
    m.dtype = MLP_FLOAT64
    m.row_stride = <ptrdiff_t>(columns * sizeof(double))
    m.column_stride = sizeof(double)
    m.offset = m.scale = NULL
    m.rows = NULL
    m.starts = NULL
    m.places = NULL
    m.blocks = NULL


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two contiguous arrays share no memory."""
    cdef const char *p = <const char *>cnp.PyArray_DATA(a)
    cdef const char *q = <const char *>cnp.PyArray_DATA(b)
    return p + cnp.PyArray_NBYTES(a) <= q or q + cnp.PyArray_NBYTES(b) <= p


def find_nonfinite(cnp.ndarray array not None):
    """Row and column of the first NaN or infinity of a 2-D array that is_direct, or None."""
    cdef mlp_matrix m, part
    cdef size_t n = array.shape[0], columns = array.shape[1], index, begin = 0, rows
    cdef mlp_status status
    cdef const mlp_kernels *kernels = BEST_ISA
    cdef double before
    if n == 0 or columns == 0:
        return None
    pinned = pin(array)
    matrix_of(array, n, columns, False, &m)
    rows = first_rows(n, 8.0 * <double>columns)
    while begin < n:
        before = perf_counter() if rows < n else 0.0
        begin_at(&m, begin, &part)
        with nogil:
            status = mlp_find_nonfinite(kernels, &part, rows, &index)
        check(status)
        if index < rows * columns:
            return begin + index // columns, index % columns
        begin += rows
        rows = next_rows(rows, n - begin, before)
    return None


def add_columns(cnp.ndarray array not None, weights, cnp.ndarray sums not None, shift):
    """Add the rows of a 2-D array that is_direct to sums (6, columns); how many they were.

    Those whose weights (n,) are above 0. The rows of `sums` are the least and the largest value so
    far, sum and lost, square and lost of mlp_column_sums; `shift` (2, columns) is its centre and
    factor, or None.
    """
    cdef mlp_matrix m
    cdef Weights described = Weights(weights, array.shape[0])
    cdef size_t n = array.shape[0], columns = array.shape[1], count
    cdef const mlp_matrix *s = described.pointer()
    cdef double *data
    cdef double *centre = NULL
    cdef double *factor = NULL
    matrix_of(array, n, columns, False, &m)
    if not is_exact(sums) or sums.size != <Py_ssize_t>(6 * columns):
        raise ValueError("an exact array for the sums is needed here")
    data = <double *>cnp.PyArray_DATA(sums)
    if shift is not None:
        if not is_exact(shift) or shift.size != 2 * columns:
            raise ValueError("an exact array of centres and factors is needed here")
        centre = <double *>cnp.PyArray_DATA(<cnp.ndarray>shift)
        factor = centre + columns
    with nogil:
        count = mlp_column_sums(&m, s, n, centre, factor, data, data + columns, data + 2 * columns,
                                data + 4 * columns)
    return count


def vector_math(name, x):
    """One of the core's own functions of a float64 vector, by its name in FUNCTIONS."""
    cdef cnp.ndarray source = np.ascontiguousarray(x, dtype=np.float64)
    cdef cnp.ndarray result = np.empty_like(source)
    mlp_vector_math(choose_isa(), FUNCTIONS[name], source.size,
                    <const double *>cnp.PyArray_DATA(source), <double *>cnp.PyArray_DATA(result))
    return result
