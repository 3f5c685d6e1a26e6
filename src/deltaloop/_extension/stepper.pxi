# One step a call: what a Trainer is made of.


cdef class Stepper:
    """Updates of a network, one a call; the solver's state is kept from call to call.

    With dropout `stream` is where its masks come from; it is the network's own if `draws`, and then
    begins wherever others have left that.
    """

    cdef mlp_trainer *trainer
    cdef Core core
    cdef object solver
    cdef Stream stream  # of dropout, whose position C keeps
    cdef bint thins  # has dropout
    cdef bint draws  # of the network's own stream
    cdef readonly size_t _n_threads
    cdef readonly bint _gaps  # NaN in targets are targets that are missing
    cdef readonly bint _own_rate  # the learning rate has been set

    def __cinit__(self, Core network not None, *, solver, problem, Stream stream not None,
                  bint draws, size_t n_threads):
        cdef mlp_fit_options options
        self.trainer = NULL
        network.ready()
        describe_solver(network, solver, &options)
        describe_problem(problem, Weights(None, 0), &options.problem)
        options.problem.dropout = dropout_of(problem)
        options.stream = stream.stream
        self.stream = stream
        self._n_threads = n_threads
        self._gaps = problem.targets == GAPS
        self._own_rate = False
        self.thins = problem.dropout is not None
        self.draws = self.thins and draws
        self.core = network
        self.solver = solver
        check(mlp_trainer_new(&self.trainer, network.network, &options, n_threads))

    def __dealloc__(self):
        mlp_trainer_free(self.trainer)

    def __reduce__(self):
        raise TypeError("a Trainer cannot be copied or pickled; copy its network")

    @property
    def _network(self):
        return self.core

    @property
    def _drops(self):
        return self.thins

    @property
    def _solver(self):
        return self.solver

    def _resume(self, dict arrays not None):
        """Goes on where the stepper was that gave these arrays, which has the same options.

        They have the names and sizes of those that this one gives.
        """
        cdef mlp_array described[MLP_MAX_ARRAYS]
        names = describe_arrays(arrays, described)
        self.core.hold()
        try:
            accept(mlp_trainer_resume(self.trainer, described, len(names)))
            if self.draws:
                self.core._position = self.stream.position
        finally:
            self.core.leave()

    def _remembered(self):
        """Copies of the arrays that the next step depends on; the stream, or None without dropout."""
        cdef mlp_array arrays[MLP_MAX_ARRAYS]
        self.core.hold()
        try:
            kept = copies(arrays, mlp_trainer_describe(self.trainer, arrays))
            if not self.thins:
                return kept, None
            position = self.core._position if self.draws else mlp_trainer_position(self.trainer)
            return kept, Stream(self.stream.key, position)
        finally:
            self.core.leave()

    def step(self, x, y, *, sample_weight=None, mask=None):
        """Update the parameters once, from the instances given.

        Parameters
        ----------
        x : array_like, shape (m0,) or (n, m0)
            One instance or a batch.
        y : array_like or float
            Its targets, as for ``Network.cost``: for one instance (mL,), or a scalar where the
            network has one output or the target is a class.
        sample_weight : array_like, shape (n,), or float for one instance, optional
            As for ``Network.cost``.
        mask : array_like of bool, of the shape of y, optional
            True (or 1) where a target counts. Where it is False (or 0) the output has no error: its
            part of the cost and of the gradient is 0, whatever `y` holds there. The cost stays the
            sum over what is left, and is divided by nothing, so the other targets have the effect
            that they have without a mask: that of PyTorch's ``(loss * mask).sum()``. For its
            mean, ``(loss * mask).sum() / mask.sum()``, pass ``sample_weight`` of 1 / mask.sum().
            A softmax's targets count all or none; of class indices the mask is (n,). Where nothing
            is left the cost is 0, and the step follows momentum, Adam's averages and the penalty.

        Returns
        -------
        float
            The cost of these instances before the step, with the whole penalty of the trainer's
            `l1` and `l2`. When it overflows to infinity or NaN no step is taken.

        Raises
        ------
        TypeError, ValueError
            As ``Network.cost``; the network is then as it was.
        RuntimeError
            If the network is being trained by another thread.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([2, 1], activation="identity", seed=0)
        >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1, momentum=0.5))
        >>> first = trainer.step([[0.0, 1.0], [1.0, 0.0]], [0.5, -0.5])
        >>> trainer.step([[0.0, 1.0], [1.0, 0.0]], [0.5, -0.5]) < first
        True

        Of three outputs only the last one has a target:

        >>> net = dl.Network([2, 3], activation="identity", seed=0)
        >>> before = net.predict([0.0, 1.0])
        >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
        >>> cost = trainer.step([0.0, 1.0], [0.0, 0.0, 1.0], mask=[False, False, True])
        >>> net.predict([0.0, 1.0]) == before
        array([ True,  True, False])
        """
        cdef mlp_matrix mx, my
        cdef size_t n = 1, m0 = self.core.n_inputs
        cdef double value
        cdef int ndim
        if is_exact(x) and self.core.plain and sample_weight is None and mask is None:
            ndim = cnp.PyArray_NDIM(x)
            if ndim == 2:
                n = cnp.PyArray_DIM(x, 0)
            if ((ndim == 1 or ndim == 2) and n > 0
                    and <size_t>cnp.PyArray_DIM(x, ndim - 1) == m0
                    and self.target(y, n, ndim, &value, &my)):
                exact_matrix(x, m0, &mx)
                if <double>n * <double>self.core.n_parameters_ >= GIL_WORK:
                    pinned = pin(x), pin(y) if isinstance(y, cnp.ndarray) else None
                if self.core.finite(&mx, n) and self.core.finite(&my, n):
                    return self.update(&mx, &my, NULL, n)
        return self._step_any(x, y, sample_weight, mask)

    def _step_any(self, x, y, sample_weight, mask):
        """`step` on anything that is no exact array: the subclass supplies it."""
        raise TypeError("exact arrays, and no sample_weight or mask, are needed here")

    def _step(self, x not None, cnp.ndarray y not None, bint labels, weights, bint gaps):
        """`step` on validated x (n, m0) and y (n, mL) or class indices (n,), weights (n,) or None.

        With `gaps` NaN in y stand for targets that are missing.
        """
        cdef mlp_matrix mx, my
        cdef size_t n = x.shape[0]
        cdef Weights described = Weights(weights, n)
        x = self.core.seen(x)
        pinned = pin(x), pin(y)
        rows_of(x, n, self.core.n_inputs, &mx)
        matrix_of(y, n, self.core.n_outputs, labels, &my)
        if gaps:
            my.kind = MLP_GAPS
        return self.update(&mx, &my, described.pointer(), n)

    def _apply(self, cnp.ndarray gradient not None):
        """One step along an exact, finite gradient (P,)."""
        cdef const double *g = <const double *>cnp.PyArray_DATA(gradient)
        cdef bint short_step = <double>self.core.n_parameters_ < GIL_WORK
        if not is_exact(gradient) or gradient.size != <Py_ssize_t>self.core.n_parameters_:
            raise ValueError("an exact array of all parameters is needed here")
        pinned = pin(gradient)
        self.core.hold()
        try:
            if short_step:
                mlp_trainer_apply(self.trainer, g)
            else:
                with nogil:
                    mlp_trainer_apply(self.trainer, g)
        finally:
            self.core.leave()

    @property
    def _rate(self):
        """The learning rate of the next step; setting it ends a schedule."""
        return mlp_trainer_rate(self.trainer)

    @_rate.setter
    def _rate(self, double rate):
        self.core.hold()
        mlp_trainer_set_rate(self.trainer, rate)
        self.core.leave()
        self._own_rate = True

    cdef bint target(self, object y, size_t n, int ndim, double *value, mlp_matrix *my) noexcept:
        """Describes an exact target, or a float for one instance, to C; False if it is neither."""
        cdef size_t mL = self.core.n_outputs
        if type(y) is float and mL == 1 and ndim == 1:
            value[0] = y
            my.data = <const char *>value
            my.columns = 1
            my.kind = MLP_VALUES
            my.dtype = MLP_FLOAT64
            my.row_stride = my.column_stride = sizeof(double)
            my.offset = my.scale = NULL
            my.rows = NULL
            my.starts = NULL
            return True
        if (not is_exact(y) or cnp.PyArray_NDIM(y) != ndim
                or <size_t>cnp.PyArray_DIM(y, ndim - 1) != mL
                or (ndim == 2 and <size_t>cnp.PyArray_DIM(y, 0) != n)):
            return False
        exact_matrix(y, mL, my)
        return True

    cdef double update(self, const mlp_matrix *x, const mlp_matrix *y, const mlp_matrix *weights,
                       size_t n) except? -1.0:
        cdef double cost = NAN
        cdef mlp_status status
        self.core.hold()
        try:
            if self.draws:
                mlp_trainer_set_position(self.trainer, self.core._position)
            if <double>n * <double>self.core.n_parameters_ < GIL_WORK:
                status = mlp_trainer_step(self.trainer, x, y, weights, n, &cost)
            else:
                with nogil:
                    status = mlp_trainer_step(self.trainer, x, y, weights, n, &cost)
            if self.draws:
                self.core._position = mlp_trainer_position(self.trainer)
        finally:
            self.core.leave()
        check(status)
        return cost
