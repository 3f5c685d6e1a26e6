# Predictions with as little as possible around them, for Python and for C.

# The signatures of its functions; a capsule's name is one of these very strings.
cdef const char *ROWS_SIGNATURE = "void (const double *, double *, void *)"
cdef const char *SCALAR_SIGNATURE = "double (int, double *, void *)"
SIGNATURES = (ROWS_SIGNATURE.decode(), SCALAR_SIGNATURE.decode())


cdef void release_capsule(object capsule) noexcept:
    """Frees a capsule's C predictor and what it kept alive."""
    cdef mlp_predictor *predictor = <mlp_predictor *>PyCapsule_GetContext(capsule)
    cdef void *owner = mlp_predictor_owner(predictor)
    mlp_predictor_free(predictor)
    Py_DECREF(<object>owner)


cdef class Predictor:
    """Predictions of n instances a call, through buffers of its own."""

    cdef mlp_predictor *predictor  # NULL for long calls
    cdef Core core
    cdef size_t n
    cdef double *x_data
    cdef double *y_data
    cdef bint long_call  # outlasts what releasing the GIL, threads and their memory cost
    cdef cnp.ndarray x_, y_
    cdef object pinned  # their memory

    def __cinit__(self, Core network not None, size_t n=1):
        self.predictor = NULL
        network.ready()
        self.core = network
        self.n = n
        self.long_call = <double>n * <double>network.n_parameters_ >= GIL_WORK
        rows = () if n == 1 else (n,)
        # Views, so that nobody can resize what C writes to.
        self.x_ = np.zeros((*rows, network.n_inputs))[:]
        self.y_ = np.zeros((*rows, network.n_outputs))[:]
        self.pinned = pin(self.x_), pin(self.y_)
        self.x_data = <double *>cnp.PyArray_DATA(self.x_)
        self.y_data = <double *>cnp.PyArray_DATA(self.y_)
        if not self.long_call:
            check(mlp_predictor_new(&self.predictor, network.network, n, NULL))

    def __dealloc__(self):
        mlp_predictor_free(self.predictor)

    def __reduce__(self):
        raise TypeError("a Predictor cannot be copied or pickled; copy its network")

    @property
    def x(self):
        """The input buffer, (n, m0), or (m0,) for n = 1: write to it."""
        return self.x_[:]

    @property
    def y(self):
        """The output buffer, (n, mL), or (mL,) for n = 1."""
        return self.y_[:]

    @property
    def _network(self):
        return self.core

    @property
    def _n(self):
        """Instances of a call."""
        return self.n

    def __call__(self):
        """Write a^(L) of the instances in ``x`` to ``y``, and return ``y``.

        Returns
        -------
        ndarray of float64, shape (n, mL) or (mL,)
            The same array every time.

        Raises
        ------
        MemoryError
            If there is none for the hidden layers of many instances.

        Examples
        --------
        >>> import deltaloop as dl
        >>> predictor = dl.Network([2, 3, 1], seed=0).predictor(4)
        >>> predictor().shape
        (4, 1)
        """
        cdef mlp_matrix x
        if self.long_call:
            exact_matrix(self.x_, self.core.n_inputs, &x)
            self.core.run(&x, self.n, False, 0, self.y_data)
        else:
            mlp_predictor_call(self.x_data, self.y_data, self.predictor)
        return self.y_

    def _capsule(self, bint scalar):
        """The prediction as a C function of the second signature, or of the first."""
        cdef mlp_predictor *predictor = NULL
        cdef const char *name = SCALAR_SIGNATURE if scalar else ROWS_SIGNATURE
        cdef void *function = <void *>mlp_predictor_call
        if scalar and (self.n != 1 or self.core.n_outputs != 1):
            raise ValueError("one instance and one output are needed here")
        if scalar:
            function = <void *>mlp_predictor_scalar
        # It owns the parameters alone: the garbage collector cannot see into a capsule, and so one
        # that held the network and was stored in it would keep both for ever.
        check(mlp_predictor_new(&predictor, self.core.network, self.n, <void *>self.core.buffer))
        try:
            capsule = PyCapsule_New(function, name, NULL)
        except BaseException:
            mlp_predictor_free(predictor)
            raise
        Py_INCREF(self.core.buffer)
        PyCapsule_SetContext(capsule, predictor)
        PyCapsule_SetDestructor(capsule, release_capsule)
        return capsule
