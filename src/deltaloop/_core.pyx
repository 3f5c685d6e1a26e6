# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True, embedsignature=False
"""The C core as Python objects: memory safety, lifetimes and one table of errors; no policy.

The classes here take arrays that were validated in Python (``_arguments/arrays.py``); only ``predict``,
``Trainer.step`` and ``Predictor`` look at an array themselves, so that one that is exact already
goes straight to C. Way to the hot loop: ``csrc/network/layers.c``, then ``csrc/kernels/product.inc.h``.
"""

cimport cython
cimport numpy as cnp
from cpython.pycapsule cimport (
    PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext, PyCapsule_SetDestructor,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport NAN
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from deltaloop._mlp cimport *

import os
import threading

import numpy as np

from deltaloop import _scalars, _threads, losses, schedules, solvers
from deltaloop._arguments import arrays as _inputs
from deltaloop._arguments import problem as _problem
from deltaloop._arguments import seeds as _random
from deltaloop._fit import state as _state

cnp.import_array()

cdef extern from *:
    """
    #if defined(__clang__)
    #define DELTALOOP_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define DELTALOOP_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define DELTALOOP_COMPILER "msvc"
    #else
    #define DELTALOOP_COMPILER "unknown"
    #endif
    """
    const char *DELTALOOP_VERSION
    const char *DELTALOOP_COMPILER


__version__ = DELTALOOP_VERSION.decode()
COMPILER = DELTALOOP_COMPILER.decode()

ACTIVATIONS = {
    "identity": MLP_IDENTITY, "sigmoid": MLP_SIGMOID, "tanh": MLP_TANH, "relu": MLP_RELU,
    "softmax": MLP_SOFTMAX, "step": MLP_STEP,
    "leaky_relu": MLP_LEAKY_RELU, "elu": MLP_ELU, "softplus": MLP_SOFTPLUS, "silu": MLP_SILU,
    "gelu": MLP_GELU, "exp": MLP_EXPONENTIAL,
}
LOSSES = {
    "squared_error": MLP_SQUARED_ERROR, "cross_entropy": MLP_CROSS_ENTROPY,
    "binary_cross_entropy": MLP_BINARY_CROSS_ENTROPY,
    "absolute_error": MLP_ABSOLUTE_ERROR, "huber": MLP_HUBER, "quantile": MLP_QUANTILE,
    "poisson": MLP_POISSON,
}
EVENTS = {
    MLP_PAUSED: "paused", MLP_EPOCH: "epoch", MLP_CONVERGED: "converged", MLP_GOAL: "goal",
    MLP_DIVERGED: "diverged",
    MLP_OWN: "own", MLP_PATIENCE: "patience",
}
cdef dict SOLVERS = {
    solvers.GradientDescent: MLP_GRADIENT_DESCENT,
    solvers.Adam: MLP_ADAM,
    solvers.AdamW: MLP_ADAM,
    solvers.Rprop: MLP_RPROP,
    solvers.LevenbergMarquardt: MLP_LEVENBERG_MARQUARDT,
    solvers.BayesianRegularization: MLP_LEVENBERG_MARQUARDT,
    solvers.LBFGS: MLP_LBFGS,
    solvers.ScaledConjugateGradient: MLP_SCG,
}
cdef dict DAMPING_RULES = {
    "fixed": MLP_FIXED, "nielsen": MLP_NIELSEN, "trust_region": MLP_TRUST_REGION,
}
cdef dict FUNCTIONS = {
    "exp": MLP_EXP, "log": MLP_LOG, "tanh": MLP_TANH_FUNCTION, "sigmoid": MLP_SIGMOID_FUNCTION,
    "log1p_exp": MLP_LOG1P_EXP, "expm1_negative": MLP_EXPM1_NEGATIVE,
    "softplus": MLP_SOFTPLUS_FUNCTION, "silu": MLP_SILU_FUNCTION,
    "silu_derivative": MLP_SILU_DERIVATIVE, "gelu": MLP_GELU_FUNCTION,
    "gelu_derivative": MLP_GELU_DERIVATIVE,
}
cdef dict DTYPES = {
    ("f", 8): MLP_FLOAT64, ("f", 4): MLP_FLOAT32, ("i", 1): MLP_INT8, ("i", 2): MLP_INT16,
    ("i", 4): MLP_INT32, ("i", 8): MLP_INT64, ("u", 1): MLP_UINT8, ("u", 2): MLP_UINT16,
    ("u", 4): MLP_UINT32, ("u", 8): MLP_UINT64, ("b", 1): MLP_UINT8,
}

# Epochs that a fit has room for at once; with more it makes more room. 100 KB are below what glibc
# takes from the system anew each time (4 times as much: 30 us a fit, for new pages).
EPOCHS_AT_ONCE = 2_500

# Multiply-adds from which a call outlasts what releasing the GIL costs (about 0.1 us, 1 %).
cdef double GIL_WORK = 50_000.0


cdef int check(mlp_status status) except -1:
    """The one table from status to exception."""
    if status == MLP_OK:
        return 0
    if status == MLP_NO_MEMORY:
        raise MemoryError("deltaloop: out of memory")
    raise ValueError("too large: the number of parameters, instances or bytes overflows")


cdef tuple supported_isas():
    cdef size_t i = 0
    names = []
    while mlp_isa(i) != NULL:
        if mlp_isa_supported(mlp_isa(i)):
            names.append(mlp_isa_name(mlp_isa(i)).decode())
        i += 1
    return tuple(names)


# Asked once: CPUID leaves a virtual machine, which takes about 20 us.
ISAS = supported_isas()
cdef const mlp_kernels *BEST_ISA = mlp_isa_best()


cdef const mlp_kernels *choose_isa() except NULL:
    """The variant that DELTALOOP_ISA names, or the best one."""
    cdef size_t i = 0
    name = os.environ.get("DELTALOOP_ISA", "")
    if not name:
        return BEST_ISA
    if name not in ISAS:
        raise ValueError(
            f"DELTALOOP_ISA must be one of {', '.join(ISAS)} on this machine, got {name!r}"
        )
    while mlp_isa_name(mlp_isa(i)).decode() != name:
        i += 1
    return mlp_isa(i)


def isa():
    """Name of the variant in use."""
    return mlp_isa_name(choose_isa()).decode()


def is_direct(cnp.ndarray array not None):
    """Whether C reads this array's elements as they are: type, byte order and alignment."""
    return ((array.dtype.kind, array.dtype.itemsize) in DTYPES and array.dtype.isnative
            and cnp.PyArray_ISALIGNED(array))


cdef int matrix_of(cnp.ndarray array, size_t n, size_t columns, bint labels,
                   mlp_matrix *m) except -1:
    """Describes an array (n, columns), or class indices (n,), to C, which relies on its shape."""
    if (array.ndim != (1 if labels else 2) or <size_t>array.shape[0] != n
            or (not labels and <size_t>array.shape[1] != columns) or not is_direct(array)):
        raise ValueError(f"an array of {n} rows and {columns} columns is needed here")
    m.data = <const char *>cnp.PyArray_DATA(array)
    m.columns = columns
    m.labels = labels
    if cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE:
        m.dtype = MLP_FLOAT64
    else:
        m.dtype = DTYPES[array.dtype.kind, array.dtype.itemsize]
    m.row_stride = cnp.PyArray_STRIDE(array, 0)
    m.column_stride = 0 if labels else cnp.PyArray_STRIDE(array, 1)
    return 0


cdef class Weights:
    """The weights (n,) of instances, described to C; None stands for 1 each."""

    cdef object array
    cdef mlp_matrix matrix

    def __cinit__(self, array, size_t n):
        self.array = array
        if array is not None:
            matrix_of(array.reshape(-1, 1), n, 1, False, &self.matrix)

    cdef const mlp_matrix *pointer(self) noexcept:
        return NULL if self.array is None else &self.matrix


cdef int describe_problem(problem, Weights weights, mlp_problem *p) except -1:
    """Fills in what a _problem.Problem says; the weights must outlive p, and dropout is apart."""
    p.weights = weights.pointer()
    p.l1 = problem.l1
    p.l2 = problem.l2
    p.dropout = NULL
    return 0


cdef const double *dropout_of(problem) except? NULL:
    """The probabilities of a Problem, which keeps them alive, or NULL."""
    if problem.dropout is None:
        return NULL
    return <const double *>cnp.PyArray_DATA(<cnp.ndarray>problem.dropout)


cdef inline bint is_exact(object array) noexcept:
    """An ndarray proper: float64 in this machine's byte order, aligned, C-contiguous."""
    return (type(array) is cnp.ndarray and cnp.PyArray_TYPE(<cnp.ndarray>array) == cnp.NPY_DOUBLE
            and cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>array))


cdef inline void exact_matrix(cnp.ndarray array, size_t columns, mlp_matrix *m) noexcept:
    """As matrix_of, for an exact array of one or two dimensions."""
    m.data = <const char *>cnp.PyArray_DATA(array)
    m.columns = columns
    m.labels = 0
    m.dtype = MLP_FLOAT64
    m.row_stride = <ptrdiff_t>(columns * sizeof(double))
    m.column_stride = sizeof(double)


cdef inline bint apart(cnp.ndarray a, cnp.ndarray b) noexcept:
    """Whether two contiguous arrays share no memory."""
    cdef const char *p = <const char *>cnp.PyArray_DATA(a)
    cdef const char *q = <const char *>cnp.PyArray_DATA(b)
    return p + cnp.PyArray_NBYTES(a) <= q or q + cnp.PyArray_NBYTES(b) <= p


def find_nonfinite(cnp.ndarray array not None):
    """Row and column of the first NaN or infinity of a 2-D array that is_direct, or None."""
    cdef mlp_matrix m
    cdef size_t n = array.shape[0], columns = array.shape[1], index
    cdef mlp_status status
    cdef const mlp_kernels *kernels = BEST_ISA
    if n == 0 or columns == 0:
        return None
    matrix_of(array, n, columns, False, &m)
    with nogil:
        status = mlp_find_nonfinite(kernels, &m, n, &index)
    check(status)
    return None if index == n * columns else divmod(index, columns)


def vector_math(name, x):
    """One of the core's own functions of a float64 vector, by its name in FUNCTIONS."""
    cdef cnp.ndarray source = np.ascontiguousarray(x, dtype=np.float64)
    cdef cnp.ndarray result = np.empty_like(source)
    mlp_vector_math(choose_isa(), FUNCTIONS[name], source.size,
                    <const double *>cnp.PyArray_DATA(source), <double *>cnp.PyArray_DATA(result))
    return result


cdef class Stream:
    """Words of NumPy's Philox bit generator: a key and the position of the next word."""

    cdef mlp_stream stream

    def __init__(self, key, position):
        self.stream.key[0] = key[0]
        self.stream.key[1] = key[1]
        self.stream.position = position

    @property
    def position(self):
        return self.stream.position

    @property
    def key(self):
        return self.stream.key[0], self.stream.key[1]

    def uniform(self, double[::1] out not None, double numerator, double denominator):
        """Fills out from Unif[-limit, limit], limit^2 = numerator / denominator, a word each."""
        if out.shape[0]:
            mlp_random_uniform(&self.stream, numerator, denominator, out.shape[0], &out[0])

    def normal(self, double[::1] out not None, double numerator, double denominator):
        """Fills out from the normal distribution of variance numerator / denominator."""
        if out.shape[0]:
            mlp_random_normal(&self.stream, choose_isa(), numerator, denominator, out.shape[0],
                              &out[0])

    def range(self, double[::1] out not None, double low, double high):
        """Fills out from Unif[low, high], a word each."""
        if out.shape[0]:
            mlp_random_range(&self.stream, low, high, out.shape[0], &out[0])

    def nguyen_widrow(self, double[::1] w not None, double[::1] b not None, double beta):
        """Fills the weights (m_in, m_out) and biases (m_out,) of a layer, a word each."""
        cdef size_t m_out = b.shape[0]
        mlp_random_nguyen_widrow(&self.stream, beta, w.shape[0] // m_out, m_out, &w[0], &b[0])

    def permutation(self, size_t n):
        """A random permutation of 0..n-1, n - 1 words."""
        cdef cnp.ndarray order = np.empty(n, dtype=np.uintp)
        mlp_random_permutation(&self.stream, n, <size_t *>cnp.PyArray_DATA(order))
        return order


@cython.auto_pickle(False)
cdef class Core:
    """What Network is made of: the C network and the parameters it works on."""

    cdef mlp_network *network
    cdef const mlp_kernels *kernels
    cdef cnp.ndarray buffer
    cdef tuple layers_, activation_
    cdef object output_, loss_, init_, seed_, lock_
    cdef size_t n_inputs, n_outputs, n_parameters_, units, chunk
    cdef double grain
    cdef bint residual_
    cdef bint plain  # any finite target is valid and there is a gradient
    cdef public object _position  # words drawn from the stream of the seed

    def __cinit__(self, *args, **kwargs):
        self.network = NULL

    def __dealloc__(self):
        mlp_network_free(self.network)

    cdef int ready(self) except -1:
        if self.network == NULL:
            raise RuntimeError("this Network was not initialised")
        return 0

    def _build(self, tuple layers, tuple activation, output, loss, bint residual):
        """Allocates the network, once: sizes, the activations' names and the loss."""
        cdef size_t L = len(layers) - 1, i
        cdef size_t *sizes = NULL
        cdef mlp_activation *g = NULL
        cdef mlp_network *network = NULL
        if self.network != NULL:
            # Trainers, predictors and other threads may hold on to it.
            raise RuntimeError("this Network is initialised already; make a new one")
        self.kernels = choose_isa()
        names = (*activation, output)
        name, parameter = losses.parts(loss)
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
                                  <mlp_loss><int>LOSSES[name]))
            if parameter is not None:
                mlp_network_set_loss_parameter(network, parameter)
            if residual:
                mlp_network_set_residual(network)
            n = mlp_network_n_parameters(network)
            # A cache line's alignment: 64 bytes.
            space = np.zeros(n + 7)
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
        mlp_network_set_parameters(network, <double *>cnp.PyArray_DATA(self.buffer))
        self.layers_, self.activation_ = layers, activation
        self.output_, self.loss_ = output, loss
        self.residual_ = residual
        self.n_inputs = layers[0]
        self.n_outputs = layers[L]
        self.n_parameters_ = n
        self.units = sum(layers[1:])
        self.chunk = 0
        self.grain = 0.0
        self.plain = name in losses.REGRESSION and "step" not in names
        self.lock_ = threading.Lock()
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

    @property
    def _lock(self):
        self.ready()
        return self.lock_

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

    cdef bint finite(self, const mlp_matrix *x, size_t n) noexcept:
        cdef size_t index = 0
        return (mlp_find_nonfinite(self.kernels, x, n, &index) == MLP_OK
                and index == n * x.columns)

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
            infinities are carried through to the outputs of their own row.
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
        if not is_exact(X):
            return _inputs.predict(self, X, out, n_threads)
        instances = <cnp.ndarray>X  # without the check of a conversion
        ndim = cnp.PyArray_NDIM(instances)
        if ((ndim != 1 and ndim != 2)
                or <size_t>cnp.PyArray_DIM(instances, ndim - 1) != self.n_inputs):
            return _inputs.predict(self, X, out, n_threads)
        if ndim == 2:
            n = cnp.PyArray_DIM(instances, 0)
        shape[0] = n
        shape[ndim - 1] = self.n_outputs
        if out is None:
            result = cnp.PyArray_SimpleNew(ndim, shape, cnp.NPY_DOUBLE)
        elif self.takes(out, instances, ndim, shape):
            result = <cnp.ndarray>out
        else:
            return _inputs.predict(self, X, out, n_threads)
        if n_threads is not None:
            threads = _scalars.threads(n_threads)
        if n == 1 and <double>self.n_parameters_ < GIL_WORK:
            check(mlp_predict_row(self.network, <const double *>cnp.PyArray_DATA(instances),
                                  <double *>cnp.PyArray_DATA(result)))
        elif n:
            exact_matrix(instances, self.n_inputs, &x)
            self.run(&x, n, False, threads, <double *>cnp.PyArray_DATA(result))
        return result

    def _predict(self, cnp.ndarray x not None, cnp.ndarray out not None, bint linear,
                 n_threads=None):
        """out (n, mL) <- a^(L), or z^(L) when linear, of validated x (n, m0)."""
        cdef mlp_matrix m
        cdef size_t threads = 0 if n_threads is None else _scalars.threads(n_threads)
        self.ready()
        matrix_of(x, x.shape[0], self.n_inputs, False, &m)
        if not is_exact(out) or out.size != <Py_ssize_t>(x.shape[0] * self.n_outputs):
            raise ValueError("an exact array for the outputs is needed here")
        if x.shape[0]:
            self.run(&m, x.shape[0], linear, threads, <double *>cnp.PyArray_DATA(out))

    def _activations(self, cnp.ndarray x not None):
        """[a^(1), ..., a^(L)] of validated x (n, m0)."""
        cdef mlp_matrix m
        cdef size_t n = x.shape[0], L = len(self.layers_) - 1, l
        cdef mlp_status status
        self.ready()
        matrix_of(x, n, self.n_inputs, False, &m)
        result = [np.empty((n, units)) for units in self.layers_[1:]]
        if n == 0:
            return result
        cdef double **a = <double **>malloc(L * sizeof(double *))
        if a == NULL:
            raise MemoryError("deltaloop: out of memory")
        for l in range(L):
            a[l] = <double *>cnp.PyArray_DATA(result[l])
        with nogil:
            status = mlp_activations(self.network, &m, n, a)
        free(a)
        check(status)
        return result

    def _cost(self, cnp.ndarray x not None, cnp.ndarray y not None, bint labels,
              bint with_gradient, size_t n_threads, problem not None):
        """(C, gradient or None) of validated x (n, m0) and y (n, mL) or class indices (n,)."""
        cdef mlp_matrix mx, my
        cdef mlp_problem p
        cdef Weights weights = Weights(problem.weights, x.shape[0])
        cdef size_t n = x.shape[0]
        cdef double cost = NAN
        cdef double *g = NULL
        cdef mlp_status status
        self.ready()
        matrix_of(x, n, self.n_inputs, False, &mx)
        matrix_of(y, n, self.n_outputs, labels, &my)
        describe_problem(problem, weights, &p)
        gradient = None
        if with_gradient:
            gradient = np.empty(self.n_parameters_)
            g = <double *>cnp.PyArray_DATA(gradient)
        with nogil:
            status = mlp_objective(self.network, &p, &mx, &my, n, n_threads, &cost, g)
        check(status)
        return cost, gradient

    def _jacobian(self, cnp.ndarray x not None, bint inputs):
        """(n, mL, m0) or (n, mL, P): derivatives of a^(L) of validated x (n, m0)."""
        cdef mlp_matrix mx
        cdef size_t n = x.shape[0]
        cdef double *data
        cdef mlp_status status
        self.ready()
        matrix_of(x, n, self.n_inputs, False, &mx)
        columns = self.n_inputs if inputs else self.n_parameters_
        result = np.empty((n, self.n_outputs, columns))
        data = <double *>cnp.PyArray_DATA(result)
        with nogil:
            status = mlp_jacobian(self.network, &mx, n, inputs, data)
        check(status)
        return result

    def _input_gradient(self, cnp.ndarray x not None, cnp.ndarray y not None, bint labels,
                        size_t n_threads, problem not None):
        """dC/dx (n, m0) of validated x (n, m0) and y (n, mL) or class indices (n,)."""
        cdef mlp_matrix mx, my
        cdef Weights weights = Weights(problem.weights, x.shape[0])
        cdef const mlp_matrix *s = weights.pointer()
        cdef size_t n = x.shape[0]
        cdef mlp_status status
        self.ready()
        matrix_of(x, n, self.n_inputs, False, &mx)
        matrix_of(y, n, self.n_outputs, labels, &my)
        cdef cnp.ndarray gradient = np.empty((n, self.n_inputs))
        cdef double *g = <double *>cnp.PyArray_DATA(gradient)
        with nogil:
            status = mlp_input_gradient(self.network, &mx, &my, s, n, n_threads, g)
        check(status)
        return gradient


cdef int describe_schedule(learning_rate, mlp_schedule *s) except -1:
    if isinstance(learning_rate, schedules.InverseScaling):
        s.kind = MLP_INVERSE_SCALING
        s.power = learning_rate.power
    elif isinstance(learning_rate, (schedules.Step, schedules.Exponential)):
        s.kind = MLP_STEPWISE
        s.factor = learning_rate.gamma
        s.epochs = getattr(learning_rate, "epochs", 1)
    elif isinstance(learning_rate, schedules.Cosine):
        s.kind = MLP_COSINE
        s.epochs = learning_rate.epochs
        s.warmup = learning_rate.warmup
        s.minimum = learning_rate.minimum
    elif isinstance(learning_rate, schedules.Plateau):
        s.kind = MLP_PLATEAU
        s.factor = learning_rate.factor
        s.epochs = learning_rate.patience
        s.threshold = learning_rate.threshold
        s.minimum = learning_rate.minimum
    return 0


cdef int describe_rates(solver, double *learning_rate, mlp_fit_options *options) except -1:
    """The learning rate, its schedule and the clipping."""
    describe_schedule(solver.learning_rate, &options.schedule)
    learning_rate[0] = getattr(solver.learning_rate, "learning_rate", solver.learning_rate)
    options.clip_norm = solver.clip_norm or 0.0
    options.clip_value = solver.clip_value or 0.0
    return 0


cdef mlp_levenberg levenberg_of(solver):
    cdef mlp_levenberg options
    options.bayesian = isinstance(solver, solvers.BayesianRegularization)
    options.rule = MLP_FIXED if options.bayesian else DAMPING_RULES[solver.damping_rule]
    options.diagonal = not options.bayesian and solver.scaling == "diagonal"
    options.geodesic = not options.bayesian and solver.geodesic
    options.damping = solver._first_damping
    options.decrease = solver.damping_decrease
    options.increase = solver.damping_increase
    options.max_damping = solver.max_damping
    options.min_gradient = solver.min_gradient
    return options


cdef int describe_solver(solver, mlp_fit_options *options) except -1:
    """Fills in what the solver says, which has been validated, and 0 elsewhere."""
    memset(options, 0, sizeof(mlp_fit_options))
    options.solver = SOLVERS[type(solver)]
    if options.solver == MLP_GRADIENT_DESCENT:
        describe_rates(solver, &options.descent.learning_rate, options)
        options.descent.momentum = solver.momentum
        options.descent.nesterov = solver.nesterov
    elif options.solver == MLP_ADAM:
        describe_rates(solver, &options.adam.learning_rate, options)
        options.adam.beta1 = solver.beta1
        options.adam.beta2 = solver.beta2
        options.adam.epsilon = solver.epsilon
        options.adam.weight_decay = getattr(solver, "weight_decay", 0.0)
    elif options.solver == MLP_RPROP:
        options.rprop.eta_plus = solver.eta_plus
        options.rprop.eta_minus = solver.eta_minus
        options.rprop.delta_0 = solver.delta_0
        options.rprop.delta_min = solver.delta_min
        options.rprop.delta_max = solver.delta_max
        options.rprop.plus = solver.variant == "plus"
    elif options.solver == MLP_LEVENBERG_MARQUARDT:
        options.levenberg = levenberg_of(solver)
    elif options.solver == MLP_LBFGS:
        options.lbfgs.memory = solver.memory
        options.lbfgs.max_evaluations = solver.max_evaluations
        options.lbfgs.c1 = solver.c1
        options.lbfgs.c2 = solver.c2
        options.lbfgs.min_gradient = solver.min_gradient
    elif options.solver == MLP_SCG:
        options.scg.sigma = solver.sigma
        options.scg.lambda_ = solver.lambda_
        options.scg.min_gradient = solver.min_gradient
    options.batch_size = solver.batch_size or 0
    options.shuffle = solver.shuffle
    return 0


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
    """Fills in arrays that _state.match returned; what is returned keeps the names alive."""
    cdef cnp.ndarray array
    cdef bytes name
    names = []
    for key, array in state.items():
        name = key.encode()
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

    With `mean` mini-batches have means as their objectives (mlp.h), and Adam its raw epsilon; `order`
    (n,), np.uintp, is theirs. Its values are believed: they must be rows of x.
    """

    cdef mlp_fit *fit
    cdef Core core
    cdef object x, y, others, order
    cdef Weights weights, other_weights
    cdef cnp.ndarray epochs  # (5, at least as many as there are)
    cdef size_t recorded
    cdef bint batched  # by mini-batches, in an order that is given

    def __cinit__(self, Core core not None, cnp.ndarray x not None, cnp.ndarray y not None,
                  bint labels, solver, problem, Stream stream not None, double tol, double goal,
                  size_t n_threads, size_t most, cnp.ndarray order=None, bint mean=False):
        cdef mlp_matrix mx, my
        cdef mlp_fit_options options
        self.fit = NULL
        core.ready()
        matrix_of(x, x.shape[0], core.n_inputs, False, &mx)
        matrix_of(y, x.shape[0], core.n_outputs, labels, &my)
        describe_solver(solver, &options)
        self.weights = Weights(problem.weights, x.shape[0])
        describe_problem(problem, self.weights, &options.problem)
        options.problem.dropout = dropout_of(problem)
        options.stream = stream.stream
        options.tol = tol
        options.goal = goal
        options.n_threads = n_threads
        options.order = order_of(order, x.shape[0])
        options.mean = options.adam.raw_epsilon = mean
        self.core, self.x, self.y, self.order = core, x, y, order
        self.batched = options.batch_size > 0 and not options.shuffle
        self.epochs = np.empty((5, min(most, EPOCHS_AT_ONCE)))
        self.recorded = 0
        check(mlp_fit_new(&self.fit, core.network, &mx, &my, x.shape[0], &options))

    def __dealloc__(self):
        mlp_fit_free(self.fit)

    def replace(self, cnp.ndarray x not None, cnp.ndarray y not None, bint labels, weights,
                cnp.ndarray order=None):
        """Goes on with other validated instances, and a history of their epochs alone.

        For mini-batches without shuffle; `finish` must not be called then. RuntimeError while an
        epoch is under way.
        """
        cdef mlp_matrix mx, my
        cdef Weights described = Weights(weights, x.shape[0])
        self.check_batched()
        matrix_of(x, x.shape[0], self.core.n_inputs, False, &mx)
        matrix_of(y, x.shape[0], self.core.n_outputs, labels, &my)
        if not mlp_fit_replace(self.fit, &mx, &my, described.pointer(), x.shape[0],
                               order_of(order, x.shape[0])):
            raise RuntimeError("an epoch over other instances is under way")
        self.x, self.y, self.weights, self.order = x, y, described, order
        self.recorded = 0

    def set_rate(self, double rate):
        """The learning rate from now on, of gradient descent or Adam without a schedule."""
        self.check_batched()
        mlp_fit_set_rate(self.fit, rate)

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

    def validate(self, cnp.ndarray x not None, cnp.ndarray y not None, bint labels, weights,
                 size_t patience, double best, double best_epoch):
        """Evaluates C of validated x and y after each epoch; once, before the first `run`.

        The network's is `best` now, since so many epochs after the fit's start (0 or less); or
        nobody knows and `best` is infinite.
        """
        cdef double[2] known = [best, best_epoch]
        cdef mlp_matrix mx, my
        matrix_of(x, x.shape[0], self.core.n_inputs, False, &mx)
        matrix_of(y, x.shape[0], self.core.n_outputs, labels, &my)
        self.others = x, y
        self.other_weights = Weights(weights, x.shape[0])
        check(mlp_fit_validate(self.fit, &mx, &my, self.other_weights.pointer(), x.shape[0],
                               patience, known))

    def resume(self, state, size_t epochs):
        """Goes on where the fit was that left these arrays (_fit/state.py) after so many epochs."""
        cdef mlp_fit_report r
        cdef mlp_array arrays[MLP_MAX_ARRAYS]
        mlp_fit_describe(self.fit, &r)
        state = _state.match(state, views(r.arrays, r.n_arrays))
        names = describe_arrays(state, arrays)
        accept(mlp_fit_resume(self.fit, arrays, len(names), epochs))

    def run(self, size_t until, double work):
        """Trains for about `work` multiply-adds; (event, the epochs completed): see `history`."""
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
        data = <double *>cnp.PyArray_DATA(self.epochs) + first
        history.cost = data
        history.validation = data + capacity
        history.rate = data + 2 * capacity
        history.norm = data + 3 * capacity
        history.seconds = data + 4 * capacity
        with nogil:
            event = mlp_fit_run(self.fit, until, work, capacity - first, &history, &recorded)
        self.recorded += recorded
        return EVENTS[event], self.epochs[:, first:self.recorded]

    @property
    def history(self):
        """What is known of all epochs, (5, epochs).

        Costs, those of the validation, learning rates, norms of gradients and seconds. C writes
        where the result will be read, as a copy would take longer than the smallest networks.
        """
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
        return (cost, validation) if done else None

    def report(self):
        """epochs, initial_cost, cost, gradient_norm, reason, key, position, arrays and so on.

        reason and best_epoch are None where there is none.
        """
        cdef mlp_fit_report r
        mlp_fit_describe(self.fit, &r)
        return {
            "epochs": r.epochs, "initial_cost": r.initial_cost, "cost": r.cost,
            "gradient_norm": r.gradient_norm, "key": (r.stream.key[0], r.stream.key[1]),
            "position": r.stream.position, "arrays": copies(r.arrays, r.n_arrays),
            "reason": None if r.reason == NULL else r.reason.decode(),
            "validation": r.validation, "best": r.best[0], "best_epoch": r.best[1],
        }


cdef class Trainer:
    """One update of a network per call, for online and reinforcement learning.

    Made by ``Network.trainer``. The solver's state, such as the velocity of momentum, is kept
    from call to call.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network([1, 1], activation="identity", seed=0)
    >>> trainer = net.trainer(dl.GradientDescent(learning_rate=0.1))
    >>> costs = [trainer.step([1.0], [3.0]) for _ in range(100)]
    >>> costs[-1] < 1e-12
    True
    """

    cdef mlp_trainer *trainer
    cdef Core core
    cdef object solver_
    cdef Stream stream  # of dropout, whose position C keeps
    cdef bint thins  # has dropout
    cdef bint draws  # from the network's stream, wherever others have left its position

    def __cinit__(self, Core network not None, solver, *, l1=0.0, l2=0.0, dropout=0.0,
                  resume=None, n_threads=None, seed=None):
        from deltaloop._fit.arguments import check_trainer
        cdef mlp_array arrays[MLP_MAX_ARRAYS]
        self.trainer = NULL
        solver = check_trainer(network, solver)
        problem = _problem.penalised(l1, l2)._replace(
            dropout=_problem.dropout(network, dropout))
        cdef size_t threads = _scalars.threads(n_threads)
        cdef mlp_fit_options options
        state = None if resume is None else _state.check(resume)
        cdef Stream own = _random.stream(network.seed, network._position)
        self.stream = own if seed is None else _random.stream(_random.resolve_seed(seed))
        if state is not None and seed is not None:
            raise ValueError(
                "seed and resume exclude each other: a state has its own random stream"
            )
        if state is not None and problem.dropout is not None:
            self.stream = Stream(*_state.stream(state))
        describe_solver(solver, &options)
        describe_problem(problem, Weights(None, 0), &options.problem)
        options.problem.dropout = dropout_of(problem)
        options.stream = self.stream.stream
        self.thins = problem.dropout is not None
        self.draws = self.thins and self.stream.key == own.key
        self.core = network
        self.solver_ = solver
        check(mlp_trainer_new(&self.trainer, network.network, &options, threads))
        if state is None:
            return
        self.lock()
        try:
            state = _state.match(
                state, views(arrays, mlp_trainer_describe(self.trainer, arrays)))
            names = describe_arrays(state, arrays)
            accept(mlp_trainer_resume(self.trainer, arrays, len(names)))
            if self.draws:
                network._position = self.stream.position
        finally:
            network.lock_.release()

    def __dealloc__(self):
        mlp_trainer_free(self.trainer)

    def __reduce__(self):
        raise TypeError("a Trainer cannot be copied or pickled; copy its network")

    @property
    def network(self):
        """The network that is trained."""
        return self.core

    @property
    def solver(self):
        """How it is trained."""
        return self.solver_

    @property
    def state(self):
        """All that the next step depends on, as plain arrays: a new dict each time.

        ``parameters`` (P,) of the network, ``steps`` (1,), the number of steps taken, with dropout
        ``key`` and ``position`` of the random stream, and what the solver remembers, by the names
        of ``FitResult.state``. ``Network.trainer`` takes it as
        `resume`. While the network is being trained in another thread, a RuntimeError.

        Examples
        --------
        >>> import deltaloop as dl
        >>> net = dl.Network([1, 1], activation="identity", seed=0)
        >>> trainer = net.trainer(dl.GradientDescent(0.1, momentum=0.5))
        >>> cost = trainer.step([1.0], [3.0])
        >>> twin = net.copy().trainer(trainer.solver, resume=trainer.state)
        >>> twin.step([2.0], [5.0]) == trainer.step([2.0], [5.0])
        True
        """
        cdef mlp_array arrays[MLP_MAX_ARRAYS]
        self.lock()
        try:
            state = copies(arrays, mlp_trainer_describe(self.trainer, arrays))
            if self.thins:
                position = (self.core._position if self.draws
                            else mlp_trainer_position(self.trainer))
                state.update(_state.stream_arrays(self.stream.key, position))
            return state
        finally:
            self.core.lock_.release()

    cdef int lock(self) except -1:
        if not self.core.lock_.acquire(False):
            raise RuntimeError(_inputs.BUSY)
        return 0

    def step(self, x, y, *, sample_weight=None):
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
        """
        cdef mlp_matrix mx, my
        cdef size_t n = 1, m0 = self.core.n_inputs, mL = self.core.n_outputs
        cdef double value
        cdef int ndim
        if is_exact(x) and self.core.plain and sample_weight is None:
            ndim = cnp.PyArray_NDIM(x)
            if ndim == 2:
                n = cnp.PyArray_DIM(x, 0)
            if ((ndim == 1 or ndim == 2) and n > 0
                    and <size_t>cnp.PyArray_DIM(x, ndim - 1) == m0
                    and self.target(y, n, ndim, &value, &my)):
                exact_matrix(x, m0, &mx)
                if self.core.finite(&mx, n) and self.core.finite(&my, n):
                    return self.update(&mx, &my, NULL, n)
        x, y, labels = _inputs.batch(self.core, x, y, "x", "y")
        n = x.shape[0]
        matrix_of(x, n, m0, False, &mx)
        matrix_of(y, n, mL, labels, &my)
        cdef Weights weights = Weights(_problem.weights(sample_weight, n), n)
        return self.update(&mx, &my, weights.pointer(), n)

    cdef bint target(self, object y, size_t n, int ndim, double *value, mlp_matrix *my) noexcept:
        """Describes an exact target, or a float for one instance, to C; False if it is neither."""
        cdef size_t mL = self.core.n_outputs
        if type(y) is float and mL == 1 and ndim == 1:
            value[0] = y
            my.data = <const char *>value
            my.columns = 1
            my.labels = 0
            my.dtype = MLP_FLOAT64
            my.row_stride = my.column_stride = sizeof(double)
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
        self.lock()
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
            self.core.lock_.release()
        check(status)
        return cost


# The signatures that Predictor.capsule knows; a capsule's name is one of these very strings.
cdef const char *ROWS_SIGNATURE = "void (const double *, double *, void *)"
cdef const char *SCALAR_SIGNATURE = "double (int, double *, void *)"


cdef void release_capsule(object capsule) noexcept:
    """Frees a capsule's C predictor and what it kept alive."""
    cdef mlp_predictor *predictor = <mlp_predictor *>PyCapsule_GetContext(capsule)
    cdef void *owner = mlp_predictor_owner(predictor)
    mlp_predictor_free(predictor)
    Py_DECREF(<object>owner)


cdef class Predictor:
    """Predictions through fixed buffers, for callers that count every nanosecond.

    Made by ``Network.predictor``. Write instances to ``x``, call the predictor, read ``y``. It
    follows later changes of the network's parameters. The buffers serve one call at a time: threads
    need a predictor each. ``capsule`` gives the same as a C function.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights([[[1.0], [1.0]]], [[-1.5]], activation="step")
    >>> predictor = net.predictor()
    >>> predictor.x[:] = 1.0, 1.0
    >>> predictor()
    array([1.])
    """

    cdef mlp_predictor *predictor  # NULL for long calls
    cdef Core core
    cdef size_t n
    cdef double *x_data
    cdef double *y_data
    cdef bint long_call  # outlasts what releasing the GIL, threads and their memory cost
    cdef cnp.ndarray x_, y_

    def __cinit__(self, Core network not None, n=1):
        self.predictor = NULL
        network.ready()
        self.core = network
        self.n = _scalars.rows("n", n, max(network.n_inputs, network.n_outputs))
        self.long_call = <double>self.n * <double>network.n_parameters_ >= GIL_WORK
        rows = () if self.n == 1 else (self.n,)
        # Views, so that nobody can resize what C writes to.
        self.x_ = np.zeros((*rows, network.n_inputs))[:]
        self.y_ = np.zeros((*rows, network.n_outputs))[:]
        self.x_data = <double *>cnp.PyArray_DATA(self.x_)
        self.y_data = <double *>cnp.PyArray_DATA(self.y_)
        if not self.long_call:
            check(mlp_predictor_new(&self.predictor, network.network, self.n, NULL))

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
    def network(self):
        """The network that predicts."""
        return self.core

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

    def capsule(self, signature="void (const double *, double *, void *)"):
        """Return the prediction as a C function, for compiled code to call without Python.

        Parameters
        ----------
        signature : str
            The C type of the function, one of

            - ``"void (const double *, double *, void *)"``: writes a^(L) (n, mL) of the instances
              (n, m0) at the first pointer to the second; they must not overlap.
            - ``"double (int, double *, void *)"``: returns a^(L) of one instance, whose length
              comes first; NaN if that is not m0. For n = 1 and networks with one output. This is
              what ``scipy.LowLevelCallable`` takes for ``scipy.integrate.quad`` and ``nquad``.

        Returns
        -------
        capsule
            A PyCapsule, named by the signature. Its pointer is the function and its context the
            last argument of each call; both are valid as long as the capsule exists. The function
            reads the network's parameters as they are at each call, needs no GIL, allocates
            nothing, cannot fail and gives the bits of ``Network.predict``. Each capsule has memory
            of its own, for one call at a time: threads need a capsule each.

        Raises
        ------
        TypeError, ValueError
            If the signature is not one of these, or does not fit the network or n.

        Examples
        --------
        >>> import deltaloop as dl
        >>> predictor = dl.Network([2, 3, 1], seed=0).predictor()
        >>> predictor.capsule()  # doctest: +ELLIPSIS
        <capsule object "void (const double *, double *, void *)" at 0x...>
        """
        cdef mlp_predictor *predictor = NULL
        cdef const char *name = ROWS_SIGNATURE
        cdef void *function = <void *>mlp_predictor_call
        names = [ROWS_SIGNATURE.decode(), SCALAR_SIGNATURE.decode()]
        if _scalars.choice("signature", signature, names) == names[1]:
            if self.n != 1 or self.core.n_outputs != 1:
                raise ValueError(
                    f"{names[1]!r} needs a predictor of one instance and a network with one output,"
                    f" got n = {self.n} and m^(L) = {self.core.n_outputs}"
                )
            name = SCALAR_SIGNATURE
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
