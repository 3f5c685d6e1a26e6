# The network: its memory, its parameters, and what is asked of it without training.


cdef int describe_problem(problem, Weights weights, mlp_problem *p) except -1:
    """Fills in what a _problem.Problem says; the weights must outlive p, and dropout is apart."""
    p.weights = weights.pointer()
    p.l1 = problem.l1
    p.l2 = problem.l2
    p.dropout = NULL
    return 0


@cython.auto_pickle(False)
cdef class Core:
    """What Network is made of: the C network and the parameters it works on."""

    cdef mlp_network *network
    cdef const mlp_kernels *kernels
    cdef cnp.ndarray buffer
    cdef object pinned  # its memory
    cdef cnp.ndarray scaling_memory  # behind the parameters, for what keeps these alive
    cdef object scaling_  # who describes it, or None
    cdef tuple layers_, activation_
    cdef object output_, loss_, init_, seed_
    cdef size_t holder, held_in  # hold.pxi: who, and in which generation
    cdef size_t n_inputs, n_outputs, n_parameters_, units, chunk
    cdef double grain
    cdef bint residual_
    cdef bint plain  # of _build
    cdef object described  # the solver that `description` is of, or None
    cdef mlp_fit_options description
    cdef public object _position  # words drawn from the stream of the seed

    def __cinit__(self, *args, **kwargs):
        self.network = NULL
        self.holder = self.held_in = 0

    def __dealloc__(self):
        mlp_network_free(self.network)

    cdef int ready(self) except -1:
        if self.network == NULL:
            raise RuntimeError("this Network was not initialised")
        return 0

    def _build(self, tuple layers, tuple activation, output, loss, bint residual, *,
               loss_name=None, loss_parameter=None, bint plain=False):
        """Allocates the network, once: sizes, names of the activations and the loss.

        `loss_name` and `loss_parameter` are those of a loss that is no name; `plain` says that any
        finite target is valid and that there is a gradient.
        """
        cdef size_t L = len(layers) - 1, i
        cdef size_t *sizes = NULL
        cdef mlp_activation *g = NULL
        cdef mlp_network *network = NULL
        if self.network != NULL:
            # Trainers, predictors and other threads may hold on to it.
            raise RuntimeError("this Network is initialised already; make a new one")
        self.kernels = choose_isa()
        names = (*activation, output)
        try:
            sizes = <size_t *>malloc((L + 1) * sizeof(size_t))
            g = <mlp_activation *>malloc(L * sizeof(mlp_activation))
            if sizes == NULL or g == NULL:
                raise MemoryError("deltaloop: out of memory")
            for i in range(L + 1):
                sizes[i] = layers[i]
            for i in range(L):
                g[i] = <mlp_activation><int>ACTIVATIONS[names[i]]
            check(mlp_network_new(&network, self.kernels, L, sizes, g,
                                  <mlp_loss><int>LOSSES[loss_name or loss]))
            if loss_parameter is not None:
                mlp_network_set_loss_parameter(network, loss_parameter)
            if residual:
                mlp_network_set_residual(network)
            n = mlp_network_n_parameters(network)
            extra = MLP_SCALING(layers[0], layers[L])
            # A cache line's alignment: 64 bytes.
            space = np.zeros(n + 7 + extra)
        except (OverflowError, ValueError):
            mlp_network_free(network)
            raise ValueError(
                f"layers are too large, the number of parameters or bytes overflows: {list(layers)}"
            ) from None
        except MemoryError:
            mlp_network_free(network)
            raise MemoryError(f"not enough memory for layers {list(layers)}") from None
        finally:
            free(sizes)
            free(g)
        shift = -space.ctypes.data % 64 // 8
        self.buffer = space[shift:shift + n]
        self.pinned = pin(space)
        mlp_network_set_parameters(network, <double *>cnp.PyArray_DATA(self.buffer))
        self.scaling_memory = space[shift + n:shift + n + extra]
        mlp_network_set_scaling(network, <double *>cnp.PyArray_DATA(self.scaling_memory))
        mlp_network_set_poll(network, signalled)
        self.layers_, self.activation_ = layers, activation
        self.output_, self.loss_ = output, loss
        self.residual_ = residual
        self.n_inputs = layers[0]
        self.n_outputs = layers[L]
        self.n_parameters_ = n
        self.units = sum(layers[1:])
        self.chunk = 0
        self.grain = 0.0
        self.plain = plain
        self._position = 0
        self.network = network

    def _set_origin(self, init, seed, position):
        """Notes where the parameters came from."""
        self.init_, self.seed_, self._position = init, seed, position

    @property
    def layers(self):
        """Units per layer, (m^(0), ..., m^(L))."""
        self.ready()
        return self.layers_

    @property
    def activation(self):
        """Names of the hidden layers' activations, one each."""
        self.ready()
        return self.activation_

    @property
    def output(self):
        """Name of the output layer's activation."""
        self.ready()
        return self.output_

    @property
    def loss(self):
        """The loss: its name, or the object that was given with its parameter."""
        self.ready()
        return self.loss_

    @property
    def residual(self):
        """Whether hidden layers as wide as the layer before them are skipped."""
        self.ready()
        return self.residual_

    @property
    def init(self):
        """The initialisation: a name or an object, or None for a network made from weights."""
        self.ready()
        return self.init_

    @property
    def seed(self):
        """The integer that the random numbers come from."""
        self.ready()
        return self.seed_

    @property
    def n_parameters(self):
        """Number of parameters P = sum over l of (m^(l-1) + 1) m^(l)."""
        self.ready()
        return self.n_parameters_

    cdef bint take(self, size_t thread) noexcept:
        """Whether nobody holds the network; from then on `thread` does."""
        cdef size_t holder
        if exchange(&self.holder, 0, thread):
            self.held_in = generation
            return True
        holder = load(&self.holder)
        if generation == self.held_in or holder == 0 or holder == survivor:
            return False
        # A thread of the process that this one was forked from, which is not here.
        if not exchange(&self.holder, holder, thread):
            return False
        self.held_in = generation
        return True

    cdef int hold(self) except -1:
        """Takes the network for training by this thread."""
        while not self.take(this_thread()):
            if load(&self.holder) != BRIEFLY:
                raise RuntimeError(BUSY)
            with nogil:
                pass
        return 0

    cdef int hold_briefly(self) except -1:
        """Takes the network to copy parameters; 0 where this thread has it for training.

        Until `leave` no Python may run.
        """
        while not self.take(BRIEFLY):
            if load(&self.holder) == this_thread():
                return 0
            if load(&self.holder) != BRIEFLY:
                raise RuntimeError(TRAINING)
            with nogil:
                pass
        return 1

    cdef void leave(self) noexcept:
        exchange(&self.holder, load(&self.holder), 0)

    @property
    def _scaling(self):
        """Who describes the scaling, or None."""
        self.ready()
        return self.scaling_

    def _set_scaling(self, scaling, input_offset=0.0, input_scale=1.0, output_offset=0.0,
                     output_scale=1.0):
        """Sets the scaling, validated arrays, and who describes it; no arrays for no scaling.

        RuntimeError while another thread trains the network. Calls that run meanwhile in other
        threads may read parts of both scalings.
        """
        cdef size_t m0 = self.n_inputs, mL = self.n_outputs
        cdef cnp.ndarray values
        cdef int held
        self.ready()
        values = np.empty(2 + 2 * m0 + 2 * mL)
        values[2:2 + m0], values[2 + m0:2 + 2 * m0] = input_offset, input_scale
        outputs = values[2 + 2 * m0:]
        outputs[:mL], outputs[mL:] = output_offset, output_scale
        # What changes nothing is not computed.
        values[0] = np.any(values[2:2 + m0] != 0.0) or np.any(values[2 + m0:2 + 2 * m0] != 1.0)
        values[1] = np.any(outputs[:mL] != 0.0) or np.any(outputs[mL:] != 1.0)
        held = self.hold_briefly()
        memcpy(cnp.PyArray_DATA(self.scaling_memory), cnp.PyArray_DATA(values),
               cnp.PyArray_SIZE(values) * sizeof(double))
        self.scaling_, before = scaling, self.scaling_
        if held:
            self.leave()

    @property
    def _held(self):
        """Whether somebody trains the network."""
        self.ready()
        return load(&self.holder) != 0

    def _snapshot(self):
        """A copy of the parameters (P,), the position in the stream and the scaling, of one moment.

        RuntimeError while another thread trains the network.
        """
        cdef cnp.ndarray copied
        cdef int held
        self.ready()
        copied = np.empty(self.n_parameters_)
        held = self.hold_briefly()
        memcpy(cnp.PyArray_DATA(copied), cnp.PyArray_DATA(self.buffer),
               self.n_parameters_ * sizeof(double))
        position, scaling = self._position, self.scaling_
        if held:
            self.leave()
        return copied, position, scaling

    def _assign(self, cnp.ndarray values not None):
        """Copies exact values (P,) in; RuntimeError while another thread trains the network."""
        cdef int held
        self.ready()
        if not is_exact(values) or cnp.PyArray_SIZE(values) != <Py_ssize_t>self.n_parameters_:
            raise ValueError("an exact array of all parameters is needed here")
        held = self.hold_briefly()
        memmove(cnp.PyArray_DATA(self.buffer), cnp.PyArray_DATA(values),
                self.n_parameters_ * sizeof(double))
        if held:
            self.leave()

    @property
    def _parameters(self):
        self.ready()
        return self.buffer[:]

    @property
    def _chunk_rows(self):
        """Instances per chunk, 0 for automatic: tuning, for tests and benchmarks."""
        self.ready()
        return self.chunk

    @_chunk_rows.setter
    def _chunk_rows(self, size_t rows):
        self.ready()
        self.chunk = rows
        mlp_network_set_tuning(self.network, rows, self.grain)

    @property
    def _grain(self):
        """Multiply-adds that are worth a thread, 0 for automatic: tuning, for tests."""
        self.ready()
        return self.grain

    @_grain.setter
    def _grain(self, double work):
        self.ready()
        self.grain = work
        mlp_network_set_tuning(self.network, self.chunk, work)

    cdef int run(self, const mlp_matrix *x, size_t n, bint linear, size_t n_threads,
                 double *out) except -1:
        """mlp_predict, without the GIL when it takes long enough; 0 threads: as many as pay."""
        cdef mlp_status status
        if n_threads == 0:
            n_threads = _threads.recent_limit() if mlp_predict_shares(self.network, n) else 1
        if <double>n * <double>self.n_parameters_ < GIL_WORK:
            return check(mlp_predict(self.network, x, n, linear, n_threads, out))
        with nogil:
            status = mlp_predict(self.network, x, n, linear, n_threads, out)
        return check(status)

    cdef double row_work(self) noexcept:
        """What a row's way through the network costs, in multiply-adds."""
        return <double>self.n_parameters_ + 32.0 * <double>(self.units + self.n_inputs)

    cdef bint finite(self, const mlp_matrix *x, size_t n) noexcept:
        cdef size_t index = 0
        return (mlp_find_nonfinite(self.kernels, x, n, &index) == MLP_OK
                and index == n * x.columns)

    def _reads(self, X, Y, bint check_finite):
        """Whether C can read X and Y as a batch that needs no conversion and no message.

        Exact arrays (n, m0) and (n, mL) of a network that takes any finite target; with
        `check_finite` so few numbers that looking at all of them takes some microseconds.
        """
        cdef mlp_matrix m
        cdef size_t n
        if (not self.plain or not is_exact(X) or not is_exact(Y) or cnp.PyArray_NDIM(X) != 2
                or cnp.PyArray_NDIM(Y) != 2):
            return False
        n = cnp.PyArray_DIM(X, 0)
        if (n == 0 or <size_t>cnp.PyArray_DIM(Y, 0) != n
                or <size_t>cnp.PyArray_DIM(X, 1) != self.n_inputs
                or <size_t>cnp.PyArray_DIM(Y, 1) != self.n_outputs):
            return False
        if not check_finite:
            return True
        if <double>n * <double>(self.n_inputs + self.n_outputs) >= GIL_WORK:
            return False
        exact_matrix(X, self.n_inputs, &m)
        if not self.finite(&m, n):
            return False
        exact_matrix(Y, self.n_outputs, &m)
        return self.finite(&m, n)

    def _reads_rows(self, X):
        """Whether C can read X as instances (n, m0) as they are: exact, finite, at least one, few."""
        cdef mlp_matrix m
        cdef size_t n
        if not is_exact(X) or cnp.PyArray_NDIM(X) != 2:
            return False
        n = cnp.PyArray_DIM(X, 0)
        if (n == 0 or <size_t>cnp.PyArray_DIM(X, 1) != self.n_inputs
                or <double>n * <double>self.n_inputs >= GIL_WORK):
            return False
        exact_matrix(X, self.n_inputs, &m)
        return self.finite(&m, n)

    cdef bint takes(self, object out, cnp.ndarray x, int ndim, cnp.npy_intp *shape) noexcept:
        """Whether C may write the result of exact instances x to out."""
        cdef int i
        if not is_exact(out) or not cnp.PyArray_ISWRITEABLE(out) or cnp.PyArray_NDIM(out) != ndim:
            return False
        for i in range(ndim):
            if cnp.PyArray_DIM(out, i) != shape[i]:
                return False
        return apart(out, x) and apart(out, self.buffer)

    def predict(self, X, out=None, n_threads=None):
        """Outputs of the network, a^(L).

        Parameters
        ----------
        X : array_like, shape (n, m0) or (m0,)
            Instances, one a row, or a single one. Any real dtype, order and stride; a
            C-contiguous float64 array is read where it lies. Zero rows give zero rows. NaN and
            infinities are carried through to the outputs of their own row. A sparse matrix of
            SciPy's, (n, m0), stays sparse, and gives the same bits as its ``toarray()``. Data that
            are read block by block, as for ``fit``, have inputs alone, or blocks (X, ...).
        out : ndarray of float64, shape (n, mL) or (mL,), optional
            C-contiguous and writeable array for the result. It must not share memory with `X` or
            with the parameters.
        n_threads : int, optional
            Threads at most; where the work is small, fewer are used. None allows as many as
            ``deltaloop.runtime()["threads"]`` tells. No bit of the result depends on it.

        Returns
        -------
        ndarray of float64, shape (n, mL) or (mL,)
            ``out`` if it was given. Row i is bit for bit what ``predict(X[i])`` gives.

        Raises
        ------
        TypeError
            If `X` does not hold real numbers, `out` is not a float64 array or `n_threads` not an
            integer.
        ValueError
            If a shape does not fit, or `n_threads` is less than 1.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network.from_weights([[[1.0], [1.0]]], [[-0.5]], activation="step")
        >>> net.predict([[0, 0], [0, 1], [1, 0], [1, 1]]).ravel()
        array([0., 1., 1., 1.])
        """
        cdef mlp_matrix x
        cdef cnp.npy_intp shape[2]
        cdef int ndim
        cdef size_t n = 1, threads = 0
        cdef cnp.ndarray instances, result
        self.ready()
        if n_threads is not None:
            if type(n_threads) is not int or n_threads < 1:
                return self._predict_any(X, out, n_threads)
            threads = min(n_threads, _threads.MOST)
        if not is_exact(X):
            return self._predict_any(X, out, n_threads)
        instances = <cnp.ndarray>X  # without the check of a conversion
        ndim = cnp.PyArray_NDIM(instances)
        if ((ndim != 1 and ndim != 2)
                or <size_t>cnp.PyArray_DIM(instances, ndim - 1) != self.n_inputs):
            return self._predict_any(X, out, n_threads)
        if ndim == 2:
            n = cnp.PyArray_DIM(instances, 0)
        shape[0] = n
        shape[ndim - 1] = self.n_outputs
        if out is None:
            result = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_DOUBLE)
        elif self.takes(out, instances, ndim, shape):
            result = <cnp.ndarray>out
        else:
            return self._predict_any(X, out, n_threads)
        if n == 1 and <double>self.n_parameters_ < GIL_WORK:
            check(mlp_predict_row(self.network, <const double *>cnp.PyArray_DATA(instances),
                                  <double *>cnp.PyArray_DATA(result)))
        elif n:
            exact_matrix(instances, self.n_inputs, &x)
            if <double>n * <double>self.n_parameters_ >= GIL_WORK:
                pinned = pin(instances), pin(result)  # other threads may run meanwhile
            self.run(&x, n, False, threads, <double *>cnp.PyArray_DATA(result))
        return result

    def _predict_any(self, X, out, n_threads):
        """`predict` from and into anything that is no exact array: the subclass supplies it."""
        raise TypeError("exact arrays, and an int or None as n_threads, are needed here")

    cdef object seen(self, object x):
        """Instances as the layers are to see them where C does not scale: Csr, whose zeros must stay."""
        cdef double *scaling = <double *>cnp.PyArray_DATA(self.scaling_memory)
        if type(x) is not Csr or scaling[0] == 0.0:
            return x
        values = self.scaling_memory[2:2 + 2 * self.n_inputs]
        if values[:self.n_inputs].any():
            raise ValueError(
                "X is sparse and the network's scaling of the inputs takes 0 to other values, which "
                "would fill X in; use X.toarray(), or scale by factors alone")
        return Csr((<Csr>x).values[:len((<Csr>x).places)] / values[self.n_inputs:][(<Csr>x).places],
                   (<Csr>x).places, (<Csr>x).starts, self.n_inputs)

    def _compute_as(self, name not None):
        """Computes with that variant of the kernels, one of ISAS, from now on; for a copy of one's own."""
        self.ready()
        if name not in ISAS:
            raise ValueError(f"expected one of {', '.join(ISAS)}, got {name!r}")
        self.kernels = isa_of(name)
        mlp_network_set_kernels(self.network, self.kernels)

    def _predict(self, x not None, cnp.ndarray out not None, bint linear,
                 size_t n_threads=0):
        """out (n, mL) <- a^(L), or z^(L) when linear, of validated x (n, m0); threads as `run`."""
        cdef mlp_matrix m
        self.ready()
        x = self.seen(x)
        rows_of(x, x.shape[0], self.n_inputs, &m)
        if not is_exact(out) or out.size != <Py_ssize_t>(x.shape[0] * self.n_outputs):
            raise ValueError("an exact array for the outputs is needed here")
        pinned = pin(x), pin(out)
        if x.shape[0]:
            self.run(&m, x.shape[0], linear, n_threads, <double *>cnp.PyArray_DATA(out))

    def _activations(self, x not None):
        """[a^(1), ..., a^(L)] of validated x (n, m0)."""
        cdef mlp_matrix m, part
        cdef size_t n = x.shape[0], L = len(self.layers_) - 1, l, begin = 0, rows
        cdef double before
        cdef mlp_status status
        self.ready()
        x = self.seen(x)
        pinned = pin(x)
        rows_of(x, n, self.n_inputs, &m)
        result = [np.empty((n, units)) for units in self.layers_[1:]]
        if n == 0:
            return result
        cdef double **a = <double **>malloc(L * sizeof(double *))
        if a == NULL:
            raise MemoryError("deltaloop: out of memory")
        rows = first_rows(n, self.row_work())
        try:
            while begin < n:
                before = perf_counter() if rows < n else 0.0
                begin_at(&m, begin, &part)
                for l in range(L):
                    a[l] = <double *>cnp.PyArray_DATA(result[l]) + begin * <size_t>self.layers_[l + 1]
                with nogil:
                    status = mlp_activations(self.network, &part, rows, a)
                check(status)
                begin += rows
                rows = next_rows(rows, n - begin, before)
        finally:
            free(a)
        return result

    def _cost(self, x not None, cnp.ndarray y not None, bint labels,
              bint with_gradient, size_t n_threads, problem not None):
        """(C, gradient or None) of validated x (n, m0) and y (n, mL) or class indices (n,)."""
        cdef mlp_matrix mx, my
        cdef mlp_problem p
        cdef Weights weights = Weights(problem.weights, places_of(x))
        cdef size_t n = x.shape[0]
        cdef double cost = NAN, work = ONE_SLICE, before
        cdef double *g = NULL
        cdef mlp_evaluation *evaluation = NULL
        cdef bint complete = False
        cdef mlp_status status
        self.ready()
        x = self.seen(x)
        pinned = pin(x), pin(y)
        rows_of(x, n, self.n_inputs, &mx)
        targets_of(y, places_of(x), self.n_outputs, labels, problem, &my)
        describe_problem(problem, weights, &p)
        gradient = None
        if with_gradient:
            gradient = np.empty(self.n_parameters_)
            g = <double *>cnp.PyArray_DATA(gradient)
        if mx.blocks == NULL and <double>n * 3.0 * self.row_work() <= ONE_SLICE:
            with nogil:
                status = mlp_objective(self.network, &p, &mx, &my, n, n_threads, &cost, g)
            check(status)
            return cost, gradient
        check(mlp_evaluation_new(&evaluation, self.network, &p, &mx, &my, n, n_threads, g))
        try:
            while not complete:
                before = perf_counter()
                with nogil:
                    complete = mlp_evaluation_advance(evaluation, work, &cost)
                settle(x)
                work = adapted(work, before)
        finally:
            mlp_evaluation_free(evaluation)
        return cost, gradient

    def _jacobian(self, x not None, bint inputs):
        """(n, mL, m0) or (n, mL, P): derivatives of a^(L) of validated x (n, m0)."""
        cdef mlp_matrix mx, part
        cdef size_t n = x.shape[0], begin = 0, rows, size, most
        cdef double before
        cdef double *data
        cdef mlp_status status
        self.ready()
        x = self.seen(x)
        pinned = pin(x)
        rows_of(x, n, self.n_inputs, &mx)
        columns = self.n_inputs if inputs else self.n_parameters_
        result = np.empty((n, self.n_outputs, columns))
        data = <double *>cnp.PyArray_DATA(result)
        size = self.n_outputs * <size_t>columns
        # New memory for the result takes longer than the arithmetic, and more than the caches hold
        # much longer: at most 4e6 elements, 32 MB, at a time.
        most = max(4_000_000 // size, 1)
        rows = min(first_rows(n, 4.0 * <double>self.n_outputs * self.row_work(), 1), most)
        while begin < n:
            before = perf_counter() if rows < n else 0.0
            begin_at(&mx, begin, &part)
            with nogil:
                status = mlp_jacobian(self.network, &part, rows, inputs, data + begin * size)
            check(status)
            begin += rows
            rows = min(next_rows(rows, n - begin, before, 1), most)
        return result

    def _input_gradient(self, x not None, cnp.ndarray y not None, bint labels,
                        size_t n_threads, problem not None):
        """dC/dx (n, m0) of validated x (n, m0) and y (n, mL) or class indices (n,)."""
        cdef mlp_matrix mx, my
        cdef Weights weights = Weights(problem.weights, x.shape[0])
        cdef size_t n = x.shape[0]
        cdef mlp_status status
        self.ready()
        x = self.seen(x)
        pinned = pin(x), pin(y)
        rows_of(x, n, self.n_inputs, &mx)
        matrix_of(y, n, self.n_outputs, labels, &my)
        cdef cnp.ndarray gradient = np.empty((n, self.n_inputs))
        cdef double *g = <double *>cnp.PyArray_DATA(gradient)
        cdef const mlp_matrix *s = weights.pointer()
        with nogil:
            status = mlp_input_gradient(self.network, &mx, &my, s, n, n_threads, g)
        check(status)
        return gradient


def check_core(Core network not None):
    """Refuses what is no network, by a TypeError."""
