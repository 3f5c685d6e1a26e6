# Instances in pieces: what some of them come to, and a fit whose instances are elsewhere.

# What is summed up, by the names that Python has for it.
cdef dict SUMS = {"cost": MLP_SUM_COST, "gradient": MLP_SUM_GRADIENT, "jacobian": MLP_SUM_JACOBIAN}
cdef tuple SUM_NAMES = tuple(SUMS)


cdef mlp_sum sum_of(kind) except *:
    if kind not in SUMS:
        raise ValueError(f"kind must be one of {', '.join(SUMS)}, got {kind!r}")
    return <mlp_sum><int>SUMS[kind]


def chain_bounds(Core core not None, kind, size_t n):
    """Where the chains of a sum over n >= 1 instances begin, and n."""
    cdef size_t chains, chain
    core.ready()
    chains = mlp_chains(core.network, sum_of(kind), n)
    return tuple([mlp_chain_begin(n, chains, chain) for chain in range(chains + 1)])


def node_size(Core core not None, kind):
    """Doubles of a node."""
    core.ready()
    return mlp_node_size(core.network, sum_of(kind))


def chain_size(Core core not None, kind):
    """Doubles of a chain that is not complete."""
    core.ready()
    return mlp_chain_size(core.network, sum_of(kind))


def add_nodes(Core core not None, kind, cnp.ndarray source not None, cnp.ndarray target not None):
    """Adds a node to the one before it in the tree."""
    cdef mlp_sum what = sum_of(kind)
    core.ready()
    for array in (source, target):
        if not is_exact(array) or array.size != <Py_ssize_t>mlp_node_size(core.network, what):
            raise ValueError("exact nodes are needed here")
    if not target.flags.writeable:
        raise ValueError("a target that can be written is needed here")
    mlp_node_add(core.network, what, <const double *>cnp.PyArray_DATA(source),
                 <double *>cnp.PyArray_DATA(target))


@cython.auto_pickle(False)
cdef class Piece:
    """Some of n instances, number `begin` on, for partial sums over them.

    x (rows, m0), an array or Csr, and y are validated; the problem's weights are theirs, and its penalty
    counts for nothing. What is kept of the network are its layers and its loss. One call at a time.
    """

    cdef mlp_piece *piece
    cdef Core core
    cdef object x, y, problem, pinned
    cdef Weights weights
    cdef readonly size_t n, begin, rows

    def __cinit__(self, Core core not None, x not None, cnp.ndarray y not None, *, bint labels,
                  problem, size_t n, size_t begin, size_t n_threads):
        cdef mlp_matrix mx, my
        cdef mlp_problem p
        cdef size_t rows = x.shape[0]
        self.piece = NULL
        core.ready()
        if rows == 0 or begin + rows > n:
            raise ValueError(f"at least one row and at most {n - begin} are needed here")
        x = core.seen(x)
        self.pinned = pin(x), pin(y)
        rows_of(x, rows, core.n_inputs, &mx)
        targets_of(y, rows, core.n_outputs, labels, problem, &my)
        self.weights = Weights(problem.weights, rows)
        describe_problem(problem, self.weights, &p)
        p.dropout = dropout_of(problem)
        self.core, self.x, self.y, self.problem = core, x, y, problem
        self.n, self.begin, self.rows = n, begin, rows
        check(mlp_piece_new(&self.piece, core.network, &p, &mx, &my, n, begin, rows, n_threads))

    def __dealloc__(self):
        mlp_piece_free(self.piece)

    def nodes(self, kind):
        """(nodes, open): of each node that `evaluate` gives its first chain and how many these are; and
        whether the last chain goes on after the piece.
        """
        cdef size_t[MLP_MAX_NODES] begin
        cdef size_t[MLP_MAX_NODES] count
        cdef size_t n, i
        cdef int open
        n = mlp_piece_nodes(self.piece, sum_of(kind), begin, count, &open)
        return [(begin[i], count[i]) for i in range(n)], open != 0

    def evaluate(self, kind, cnp.ndarray parameters not None, cnp.ndarray chain=None, masks=None):
        """(nodes (how many, size of a node), chain or None) at parameters (P,); signals are served.

        `chain` is what the rows before have left of the chain that the piece begins in, None where it begins
        at a chain's start; `masks` the stream of dropout, (key, key, position).
        """
        cdef mlp_sum what = sum_of(kind)
        cdef mlp_stream stream
        cdef const mlp_stream *dropped = NULL
        cdef const double *before = NULL
        cdef size_t size = mlp_chain_size(self.core.network, what)
        cdef double work = ONE_SLICE, since
        cdef bint complete = False
        cdef mlp_status status
        cdef double *to = NULL
        cdef cnp.npy_intp shape[2]
        if not is_exact(parameters) or parameters.size != <Py_ssize_t>self.core.n_parameters_:
            raise ValueError(f"{self.core.n_parameters_} exact parameters are needed here")
        begins = self.begin in chain_bounds(self.core, kind, self.n)
        if begins != (chain is None) or (
                chain is not None and (not is_exact(chain) or chain.size != <Py_ssize_t>size)):
            raise ValueError(
                "the chain that the piece begins in is needed here, exact, and only where there is one")
        if chain is not None:
            before = <const double *>cnp.PyArray_DATA(chain)
        if masks is not None:
            stream.key[0], stream.key[1], stream.position = masks
            dropped = &stream
        check(mlp_piece_start(self.piece, what, <const double *>cnp.PyArray_DATA(parameters), dropped,
                              before))
        while not complete:
            since = perf_counter()
            with nogil:
                complete = mlp_piece_advance(self.piece, work)
            work = adapted(work, since)
        known, open = self.nodes(kind)
        shape[0], shape[1] = len(known), mlp_node_size(self.core.network, what)
        nodes = cnp.PyArray_SimpleNew(2, shape, cnp.NPY_DOUBLE)
        after = np.empty(size) if open else None
        if open:
            to = <double *>cnp.PyArray_DATA(<cnp.ndarray>after)
        mlp_piece_read(self.piece, <double *>cnp.PyArray_DATA(<cnp.ndarray>nodes), to)
        return nodes, after


@cython.auto_pickle(False)
cdef class Request:
    """What a fit asks of whoever has its instances: `kind` of sum, `parameters` (P,), of `n` instances.

    `validation`: of those of the validation. `order` (n,), np.uintp, or None: which ones of a mini-batch; without
    it these are number `begin` on. `masks`: (key, key, position) of dropout, or None.
    """

    cdef readonly object kind, parameters, order, masks
    cdef readonly bint validation
    cdef readonly size_t n, begin


cdef Request request_of(const mlp_request *r, size_t n_parameters):
    cdef Request request = Request.__new__(Request)
    cdef cnp.npy_intp size = n_parameters
    parameters = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_DOUBLE)
    memcpy(cnp.PyArray_DATA(<cnp.ndarray>parameters), r.parameters, n_parameters * sizeof(double))
    request.kind, request.parameters = SUM_NAMES[<int>r.kind], parameters
    request.validation, request.n, request.begin = r.validation, r.n, r.begin
    request.order = request.masks = None
    if r.order != NULL:
        request.order = copied_order(r.order, r.n)
    if r.masks != NULL:
        request.masks = r.masks.key[0], r.masks.key[1], r.masks.position
    return request


cdef object copied_order(const size_t *order, size_t n):
    result = np.empty(n, np.uintp)
    memcpy(cnp.PyArray_DATA(<cnp.ndarray>result), order, n * sizeof(size_t))
    return result


# C calls these two in the thread that runs the fit. What they raise is kept for the call of `run` or `finish`.

cdef int sum_elsewhere(void *context, const mlp_request *request, double *cost,
                       double *gradient) noexcept with gil:
    cdef Fit fit = <Fit>context
    cdef cnp.ndarray node
    cdef const double *data
    cdef size_t size
    try:
        asked = request_of(request, fit.core.n_parameters_)
        PyErr_CheckSignals()
        node = fit.elsewhere.sum(asked)
        size = mlp_node_size(fit.core.network, request.kind)
        if not is_exact(node) or node.size != <Py_ssize_t>size:
            raise ValueError(f"an exact node of {size} numbers is needed here")
        data = <const double *>cnp.PyArray_DATA(node)
        if cost != NULL:
            memcpy(cost, data, 2 * sizeof(double))
            data += 2
            size -= 2
        if gradient != NULL:
            memcpy(gradient, data, size * sizeof(double))
        return 1
    except BaseException as error:
        fit.failure = error
        return 0


cdef int rows_elsewhere(void *context, const size_t *order, size_t begin, size_t n, mlp_matrix *x,
                        mlp_matrix *y, mlp_matrix *weights, size_t *rows) noexcept with gil:
    cdef Fit fit = <Fit>context
    cdef Weights described
    cdef size_t total = fit.elsewhere.n
    cdef cnp.npy_intp size = total
    try:
        PyErr_CheckSignals()
        numbers = None
        if order != NULL:  # a view of memory that C keeps until the epoch's end
            numbers = cnp.PyArray_SimpleNewFromData(1, &size, cnp.NPY_UINTP, <void *>order)
        given = fit.elsewhere.rows(numbers, begin, n)
        count = given[0].shape[0]
        if count < n:
            raise ValueError(f"at least {n} rows are needed here")
        fit.check_kind(given[0])
        seen = fit.core.seen(given[0])
        described = Weights(given[2], count)
        rows_of(seen, count, fit.core.n_inputs, x)
        targets_of(given[1], count, fit.core.n_outputs, fit.labels, fit.problem, y)
        if described.array is not None:
            weights[0] = described.matrix
        rows[0] = count
        fit.at_hand = (seen, given[1], described, pin(seen), pin(given[1]))
        return 1
    except BaseException as error:
        fit.failure = error
        return 0
