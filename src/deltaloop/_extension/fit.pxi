# One run of training, and what it shares with the stepper: solvers and states, described to C.

# Epochs that a fit has room for at once; with more it makes more room. 100 KB are below what glibc
# takes from the system anew each time (4 times as much: 30 us a fit, for new pages).
EPOCHS_AT_ONCE = 2_500


cdef int describe_schedule(schedule, mlp_schedule *s) except -1:
    """Fills in a schedule: `_kind` is its name in C, and `_options()` as those of a solver."""
    s.kind = <mlp_schedule_kind><int>SCHEDULES[schedule._kind]
    for name, value in (<dict?>schedule._options()).items():
        if not mlp_schedule_set(s, PyUnicode_AsUTF8(name), value):
            raise ValueError(f"schedules have no option {name!r}")
    return 0


cdef int describe_solver(Core core, solver, mlp_fit_options *options) except -1:
    """Fills in what a solver says, which has been validated, and 0 elsewhere.

    The network keeps that of the last solver, which asking takes a tenth of the shortest fit.

    `_method` is its name in C, and `_options()` gives numbers by their names there. A schedule stands
    for the number from which it starts.
    """
    cdef bint constant = True  # solvers are; a schedule may be the caller's own
    if core.described is solver:
        options[0] = core.description
        return 0
    memset(options, 0, sizeof(mlp_fit_options))
    options.solver = <mlp_solver><int>SOLVERS[solver._method]
    for name, value in (<dict?>solver._options()).items():
        if not isinstance(value, (float, int)) and hasattr(value, "_kind"):
            constant = False
            describe_schedule(value, &options.schedule)
            value = value.learning_rate
        if not mlp_option_set(options, PyUnicode_AsUTF8(name), value):
            raise ValueError(f"{solver._method} has no option {name!r}")
    core.described = None
    if constant:
        core.description = options[0]
        core.described = solver
    return 0


cdef const double *dropout_of(problem) except? NULL:
    """The probabilities of a Problem, which keeps them alive, or NULL."""
    if problem.dropout is None:
        return NULL
    return <const double *>cnp.PyArray_DATA(<cnp.ndarray>problem.dropout)


cdef dict views(const mlp_array *arrays, size_t n):
    """Arrays that C owns, by name, where they lie."""
    cdef cnp.npy_intp size
    cdef size_t i
    result = {}
    for i in range(n):
        size = arrays[i].n
        result[arrays[i].name.decode()] = cnp.PyArray_SimpleNewFromData(
            1, &size, cnp.NPY_DOUBLE, <void *>arrays[i].data)
    return result


cdef dict copies(const mlp_array *arrays, size_t n):
    return {name: array.copy() for name, array in views(arrays, n).items()}


cdef list describe_arrays(dict state, mlp_array *arrays):
    """Fills in arrays (n,) of a state by name; what is returned keeps the names alive."""
    cdef cnp.ndarray array
    cdef bytes name
    names = []
    for key, array in state.items():
        if len(names) == MLP_MAX_ARRAYS:
            raise ValueError("a state of fewer arrays is needed here")
        if not is_exact(array):
            raise ValueError("exact arrays are needed here")
        name = PyUnicode_AsUTF8String(key)
        arrays[len(names)].name = name
        arrays[len(names)].data = <double *>cnp.PyArray_DATA(array)
        arrays[len(names)].n = array.size
        names.append(name)
    return names


cdef int accept(const char *refused) except -1:
    """What mlp_fit_resume and mlp_trainer_resume return, as an exception."""
    if refused != NULL:
        name = refused.decode()
        raise ValueError(f"resume[{name!r}] holds values that no such training leaves there")
    return 0


cdef const size_t *order_of(cnp.ndarray order, size_t n) except? NULL:
    """The order of n rows, which the caller has made and keeps, or NULL for None."""
    if order is None:
        return NULL
    if order.dtype != np.uintp or order.ndim != 1 or order.size != <Py_ssize_t>n or (
            not cnp.PyArray_ISCARRAY_RO(order)):
        raise ValueError(f"an order of {n} rows is needed here")
    return <const size_t *>cnp.PyArray_DATA(order)


cdef class Fit:
    """One run of training in slices: the C state, and the arrays that it reads.

    It has room for `most` epochs; of mini-batches there may be more, for which it makes room. With `mean` mini-batches have
    means as their objectives (mlp.h), and Adam its raw epsilon; `order` (n,), np.uintp, is theirs.
    Its values are believed: they must be rows of x. With `elsewhere` x and y are a sample (the rows that the
    warnings look at), and the instances are where that object says: see pieces.pxi. With `rows` (n,), np.uintp, the fit's
    instances are these of x and y alone, in this order; they are believed, too. Where x is Blocks, y is its
    y, and the weights of the problem are its weights. With `draws` the stream is the network's own.
    """

    cdef mlp_fit *fit
    cdef Core core
    cdef object x, y, others, order, rows, problem, sample
    cdef Weights sample_weights
    cdef object pinned, others_pinned  # the memory of x, y and others
    cdef Weights weights, other_weights
    cdef cnp.ndarray epochs  # (5, at least as many as there are)
    cdef size_t recorded
    cdef bint batched  # by mini-batches, in an order that is given
    # Targets vary, but C of predicting their means is 0: by so little, or so scaled. After `targets`.
    cdef readonly bint vanishing
    cdef readonly bint paused  # within an epoch, as the last call of `run` has left it
    cdef readonly object event  # of that call, None before the first
    cdef bint draws  # from the network's own stream, whose position it keeps up to date
    cdef object elsewhere, at_hand, failure  # who has the instances; rows of his; what he has raised
    cdef mlp_elsewhere calls
    cdef bint labels

    def __cinit__(self, Core core not None, x not None, cnp.ndarray y not None,
                  *, bint labels, solver, problem, Stream stream not None, double tol,
                  double goal, size_t n_threads, size_t most, cnp.ndarray order=None,
                  bint mean=False, bint draws=False, cnp.ndarray rows=None, elsewhere=None):
        cdef mlp_matrix mx, my
        cdef size_t n = x.shape[0] if rows is None else rows.size
        cdef mlp_fit_options options
        cdef cnp.npy_intp shape[2]
        self.fit = NULL
        self.draws = draws
        core.ready()
        describe_solver(core, solver, &options)  # which may run code of the caller's, and so comes first
        x = core.seen(x)
        self.pinned = pin(x), pin(y)
        rows_of(x, x.shape[0], core.n_inputs, &mx)
        targets_of(y, places_of(x), core.n_outputs, labels, problem, &my)
        self.problem = problem
        mx.rows = my.rows = order_of(rows, n)
        self.weights = Weights(problem.weights, places_of(x, rows))
        describe_problem(problem, self.weights, &options.problem)
        options.problem.dropout = dropout_of(problem)
        options.stream = stream.stream
        options.tol = tol
        options.goal = goal
        options.most = 0 if options.batch_size else most
        options.n_threads = n_threads
        options.order = order_of(order, n)
        options.mean = mean
        if mean:
            mlp_option_set(&options, "raw_epsilon", 1.0)  # of Adam alone
        self.labels = labels
        if elsewhere is not None:
            self.elsewhere, n = elsewhere, elsewhere.n
            self.calls.sum, self.calls.rows = sum_elsewhere, rows_elsewhere
            self.calls.context = <void *>self
            self.calls.observed = elsewhere.observed
            options.elsewhere = &self.calls
        self.core, self.x, self.y, self.order, self.rows = core, x, y, order, rows
        self.batched = options.batch_size > 0 and not options.shuffle
        shape[0], shape[1] = 5, min(most, EPOCHS_AT_ONCE)
        self.epochs = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_DOUBLE)
        self.recorded = 0
        check(mlp_fit_new(&self.fit, core.network, &mx, &my, n, &options))
        settle(x)

    def __dealloc__(self):
        mlp_fit_free(self.fit)

    def replace(self, x not None, cnp.ndarray y not None, bint labels, weights,
                cnp.ndarray order=None):
        """Goes on with other validated instances, and a history of their epochs alone.

        For mini-batches without shuffle; `finish` must not be called then. RuntimeError while an
        epoch is under way.
        """
        cdef mlp_matrix mx, my
        cdef Weights described = Weights(weights, x.shape[0])
        cdef size_t n = x.shape[0] if self.elsewhere is None else self.elsewhere.n
        self.check_batched()
        self.check_kind(x)
        x = self.core.seen(x)
        rows_of(x, x.shape[0], self.core.n_inputs, &mx)
        if mx.blocks != NULL:
            raise ValueError("instances in memory are needed here")
        targets_of(y, x.shape[0], self.core.n_outputs, labels, self.problem, &my)
        if not mlp_fit_replace(self.fit, &mx, &my, described.pointer(), n,
                               order_of(order, n)):
            raise RuntimeError("an epoch over other instances is under way")
        self.x, self.y, self.weights, self.order = x, y, described, order
        self.pinned = pin(x), pin(y)
        self.recorded = 0

    def set_rate(self, double rate):
        """The learning rate from now on, of gradient descent or Adam without a schedule."""
        self.check_batched()
        mlp_fit_set_rate(self.fit, rate)

    cdef int check_kind(self, x) except -1:
        """C has memory for arrays or for Csr, not for both."""
        if (type(x) is Csr) != (type(self.x) is Csr):
            raise ValueError("all instances of a fit must be arrays, or all of them Csr")
        return 0

    cdef int check_batched(self) except -1:
        if not self.batched:
            raise ValueError("mini-batches without shuffle are needed here")
        return 0

    @property
    def evaluations(self):
        """Evaluations of C over all instances so far."""
        return mlp_fit_evaluations(self.fit)

    @property
    def largest_gradient(self):
        """The largest abs(dC/dw) of the last one."""
        return mlp_fit_largest_gradient(self.fit)

    def validate(self, x not None, cnp.ndarray y not None, bint labels, weights,
                 cnp.ndarray rows, size_t patience, double best, double best_epoch):
        """Evaluates C of validated x and y after each epoch; once, before the first `run`.

        With `rows` of these alone, as in the constructor.

        The network's is `best` now, since so many epochs after the fit's start (0 or less); or
        nobody knows and `best` is infinite.
        """
        cdef double[2] known = [best, best_epoch]
        cdef mlp_matrix mx, my
        cdef size_t n = x.shape[0] if rows is None else rows.size
        self.check_kind(x)
        x = self.core.seen(x)
        rows_of(x, x.shape[0], self.core.n_inputs, &mx)
        targets_of(y, places_of(x), self.core.n_outputs, labels, self.problem, &my)
        mx.rows = my.rows = order_of(rows, n)
        self.others, self.others_pinned = (x, y, rows), (pin(x), pin(y))
        self.other_weights = Weights(weights, places_of(x, rows))
        check(mlp_fit_validate(self.fit, &mx, &my, self.other_weights.pointer(), n, patience,
                               known))

    def validate_elsewhere(self, size_t n, size_t patience, double best, double best_epoch):
        """The same with n instances that are elsewhere."""
        cdef double[2] known = [best, best_epoch]
        check(mlp_fit_validate(self.fit, NULL, NULL, NULL, n, patience, known))

    cdef int raise_failure(self) except -1:
        """Raises what the object that has the instances has raised."""
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return 0

    def survey(self, cnp.ndarray x not None, cnp.ndarray y not None, bint labels, weights):
        """Instances that `targets` and `health` look at, spread evenly over all of Blocks."""
        cdef mlp_matrix mx, my
        cdef size_t k = x.shape[0]
        matrix_of(x, k, self.core.n_inputs, False, &mx)
        targets_of(y, k, self.core.n_outputs, labels, self.problem, &my)
        self.sample, self.sample_weights = (x, y, pin(x), pin(y)), Weights(weights, k)
        mlp_fit_sample(self.fit, &mx, &my, self.sample_weights.pointer(), k)

    def resume(self, dict arrays not None, size_t epochs):
        """Goes on where the fit was that reported these arrays, after so many epochs.

        They have the names and sizes of those that this one reports.
        """
        cdef mlp_array described[MLP_MAX_ARRAYS]
        names = describe_arrays(arrays, described)
        accept(mlp_fit_resume(self.fit, described, len(names), epochs))

    def enter(self, size_t row, uint64_t epoch_position):
        """Goes to where an epoch has learned from `row` rows, before `resume`.

        The stream was at this position at the epoch's start.
        """
        if not mlp_fit_enter(self.fit, row, epoch_position):
            raise ValueError(
                f"resume is the state of a fit within an epoch, after {row} rows, which is no place in an epoch of "
                "this one; use its solver, with the same batch_size and shuffle"
            )

    @property
    def row(self):
        """Rows that the epoch under way has learned from, if this is a place to go on from, else 0."""
        return mlp_fit_row(self.fit)

    def run(self, size_t until, double work, bint seek=False):
        """Trains for about `work` multiply-adds; (event, how many epochs were completed).

        With `seek` it also ends where `row` is not 0.
        """
        cdef size_t recorded = 0, first = self.recorded
        cdef size_t capacity = self.epochs.shape[1]
        cdef double *data
        cdef mlp_history history
        cdef mlp_event event
        if first == capacity:
            longer = np.empty((5, 4 * capacity))
            longer[:, :capacity] = self.epochs
            self.epochs = longer
            capacity *= 4
        mlp_fit_seek(self.fit, seek)
        data = <double *>cnp.PyArray_DATA(self.epochs) + first
        history.cost = data
        history.validation = data + capacity
        history.rate = data + 2 * capacity
        history.norm = data + 3 * capacity
        history.seconds = data + 4 * capacity
        with nogil:
            event = mlp_fit_run(self.fit, until, work, capacity - first, &history, &recorded)
        self.recorded += recorded
        self.settle()
        self.paused = event == MLP_PAUSED
        self.event = EVENTS[event]
        if self.draws:
            self.core._position = mlp_fit_position(self.fit)
        if self.failure is not None:
            self.raise_failure()
        return self.event, recorded

    cdef int settle(self) except -1:
        settle(self.x)
        if self.others is not None:
            settle(self.others[0])
        return 0

    @property
    def last(self):
        """What is known of the last epoch, as `history` has it."""
        return self.epochs[:, self.recorded - 1].tolist()

    @property
    def history(self):
        """What is known of all epochs, (5, epochs).

        Costs, those of the validation, learning rates, norms of gradients and seconds. C writes
        where the result will be read, as a copy would take longer than the smallest networks.
        """
        if self.recorded == <size_t>self.epochs.shape[1]:
            return self.epochs
        epochs = self.epochs[:, :self.recorded]
        return epochs if 2 * self.recorded >= <size_t>self.epochs.shape[1] else epochs.copy()

    @property
    def position(self):
        """Words drawn from the stream so far."""
        return mlp_fit_position(self.fit)

    @property
    def settled(self):
        """Whether the costs known are those of the parameters as they are."""
        return mlp_fit_settled(self.fit) != 0

    def finish(self, double work):
        """C of the final parameters and of their validation, or None if `work` did not do.

        With patience they are those of the best epoch from now on.
        """
        cdef double cost = NAN, validation = NAN
        cdef bint done
        with nogil:
            done = mlp_fit_finish(self.fit, work, &cost, &validation)
        if self.failure is not None:
            self.raise_failure()
        if work > 0.0:
            self.settle()
        return (cost, validation) if done else None

    def targets(self, bint extremes):
        """(lowest, highest, least, mean): the targets' extremes, the least cost, that of their means.

        Without `extremes` the first two are infinite. It also sets `vanishing`.
        """
        cdef mlp_target_survey t
        cdef mlp_status status
        with nogil:
            status = mlp_fit_targets(self.fit, &t)
        check(status)
        self.vanishing = t.vanishing
        if not extremes:
            t.lowest, t.highest = INFINITY, -INFINITY
        return t.lowest, t.highest, t.least, t.mean

    def health(self):
        """(saturated, constant, vary): the first layer that is saturated, from 1, or 0; whether all
        instances have the same outputs; whether inputs and targets vary.
        """
        cdef mlp_health h
        cdef mlp_status status
        with nogil:
            status = mlp_fit_health(self.fit, &h)
        check(status)
        return h.saturated, h.constant != 0, h.vary != 0

    def report(self):
        """What the fit has done so far, as a Report."""
        return Report(self)


cdef class Report:
    """What a fit has done so far, of the moment when it is made.

    reason is None where there is none; best and best_epoch are of the validation. row is the fit's,
    and epoch_position where the stream was at the start of its epoch.
    """

    cdef readonly size_t epochs, row
    cdef readonly uint64_t epoch_position
    cdef readonly double initial_cost, cost, gradient_norm, validation, best, best_epoch
    cdef readonly object reason
    cdef mlp_stream stream
    cdef size_t n_arrays
    cdef const char *names[MLP_MAX_ARRAYS]
    cdef cnp.npy_intp sizes[MLP_MAX_ARRAYS]
    cdef cnp.ndarray memory  # all arrays, one after the other

    def __cinit__(self, Fit fit not None):
        cdef mlp_fit_report r
        cdef size_t i
        cdef cnp.npy_intp total = 0
        cdef double *to
        mlp_fit_describe(fit.fit, &r)
        self.epochs, self.row, self.epoch_position = r.epochs, r.row, r.epoch_position
        self.initial_cost, self.cost, self.gradient_norm = r.initial_cost, r.cost, r.gradient_norm
        self.validation, self.best, self.best_epoch = r.validation, r.best[0], r.best[1]
        self.reason = None if r.reason == NULL else r.reason.decode()
        self.stream = r.stream
        self.n_arrays = r.n_arrays
        for i in range(r.n_arrays):
            self.names[i], self.sizes[i] = r.arrays[i].name, r.arrays[i].n
            total += self.sizes[i]
        self.memory = cnp.PyArray_SimpleNew(1, &total, cnp.NPY_DOUBLE)
        to = <double *>cnp.PyArray_DATA(self.memory)
        for i in range(r.n_arrays):
            memcpy(to, r.arrays[i].data, r.arrays[i].n * sizeof(double))
            to += r.arrays[i].n

    @property
    def key(self):
        """Of the stream."""
        return self.stream.key[0], self.stream.key[1]

    @property
    def position(self):
        """Words drawn from the stream."""
        return self.stream.position

    @property
    def arrays(self):
        """Copies of what the solver remembers, by name."""
        cdef size_t i
        cdef cnp.npy_intp begin = 0
        result = {}
        for i in range(self.n_arrays):
            result[self.names[i].decode()] = self.memory[begin:begin + self.sizes[i]].copy()
            begin += self.sizes[i]
        return result
