# Instances that are read while C works on them, in the place of an array.

@cython.auto_pickle(False)
cdef class Blocks:
    """n rows that do not all lie in memory, in the place of an array (n, columns).

    `read(row)` makes row number `row` lie in the arrays x (places, columns), y (places, ...) and
    weights (places,) or None, and returns (first, end, at): rows first .. end - 1 lie there from
    place `at` on. It is asked in the thread that works on the rows, in ascending order, over and
    over; `struct mlp_blocks` of mlp.h says more.
    """

    cdef readonly cnp.ndarray x, y
    cdef readonly object weights
    cdef readonly tuple shape
    cdef object read
    cdef object error  # what it has raised
    cdef mlp_blocks blocks
    cdef object __weakref__

    def __cinit__(self, read not None, size_t n, cnp.ndarray x not None, cnp.ndarray y not None,
                  cnp.ndarray weights):
        if (cnp.PyArray_NDIM(x) != 2 or len(x) != len(y)
                or (weights is not None and len(weights) != len(x))):
            raise ValueError("arrays of as many places are needed here")
        self.read, self.x, self.y, self.weights = read, x, y, weights
        self.shape = (n, x.shape[1])
        memset(&self.blocks, 0, sizeof(mlp_blocks))
        self.blocks.next = next_block
        self.blocks.context = <void *>self
        self.blocks.places = len(x)

    def __len__(self):
        return self.shape[0]

    @property
    def ndim(self):
        """2: rows and columns."""
        return 2

    @property
    def nbytes(self):
        """Bytes of what lies in memory at a time."""
        return self.x.nbytes

    cdef int advance(self, size_t row) noexcept:
        """Asks for a row; 1 where there is none, for a reason that `settle` raises."""
        try:
            if self.error is None:
                self.blocks.first, self.blocks.end, self.blocks.at = self.read(row)
                if (self.blocks.first <= row and row < self.blocks.end <= <size_t>self.shape[0] and
                        self.blocks.end - self.blocks.first + self.blocks.at <= self.blocks.places):
                    return 0
                raise ValueError(f"row {row} is needed here")
        except BaseException as error:
            self.error = error
        self.blocks.first = self.blocks.end = 0
        return 1

    cdef int settle(self) except -1:
        """Raises what reading has raised."""
        if self.error is not None:
            raise self.error
        return 0


cdef int next_block(void *context, size_t row) noexcept nogil:
    with gil:
        return (<Blocks>context).advance(row)


cdef int blocks_of(Blocks x, size_t n, size_t columns, mlp_matrix *m) except -1:
    """As rows_of."""
    if <size_t>x.shape[0] != n:
        raise ValueError(f"{n} rows are needed here")
    matrix_of(x.x, x.blocks.places, columns, False, m)
    m.blocks = &x.blocks
    return 0


cdef size_t places_of(object x, object rows=None) except? 0:
    """For how many rows the targets and weights of instances x, or of these rows of it, are there."""
    if type(x) is Blocks:
        return (<Blocks>x).blocks.places
    return x.shape[0] if rows is None else rows.size


cdef int settle(object x) except -1:
    """Raises what reading instances has raised."""
    if type(x) is Blocks:
        return (<Blocks>x).settle()
    return 0


def shuffled_rows(size_t n_inputs):
    """Rows that ``shuffle="blocks"`` mixes, of so many inputs each: blocks begin with a multiple of them."""
    return MLP_SHUFFLED(n_inputs)
