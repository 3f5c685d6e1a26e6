# Who may write the parameters of a network: the thread that trains it, or one that copies.
#
# A network's holder is one word, which is taken and left in C: no signal can come between. It is 0,
# or the identity of the thread that trains, or BRIEFLY while parameters are copied in or out, which
# runs no Python and ends by itself.

cdef extern from "pythread.h":
    # One that needs no GIL.
    size_t PyThread_get_thread_ident() noexcept nogil

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    static inline int deltaloop_exchange(size_t *word, size_t from, size_t to)
    {
        return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    static inline size_t deltaloop_load(const size_t *word)
    {
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
    }
    #else
    #include <intrin.h>
    static inline int deltaloop_exchange(size_t *word, size_t from, size_t to)
    {
        return _InterlockedCompareExchange64((volatile __int64 *)word, (__int64)to,
                                             (__int64)from) == (__int64)from;
    }
    static inline size_t deltaloop_load(const size_t *word)
    {
        return (size_t)_InterlockedCompareExchange64((volatile __int64 *)word, 0, 0);
    }
    #endif
    """
    int exchange "deltaloop_exchange"(size_t *word, size_t from_, size_t to) noexcept nogil
    size_t load "deltaloop_load"(const size_t *word) noexcept nogil

BUSY = "this network is being trained already, in another thread or by the fit that calls this"
TRAINING = (
    "this network is being trained in another thread, and its parameters are those of no complete "
    "step; save it, copy it or set its parameters in the callback of that fit, which runs between "
    "epochs, or when the training is over"
)

cdef enum:
    BRIEFLY = 1  # no thread has this identity

# How many forks lie between this process and the first one, and the thread that the last one left.
cdef size_t generation = 0
cdef size_t survivor = 0
# The thread that Python runs the handlers of signals in.
cdef size_t main_thread = threading.main_thread().ident


cdef inline size_t this_thread() noexcept nogil:
    return PyThread_get_thread_ident()


def _forked():
    """Notes, in a child, that only this thread is left."""
    global generation, survivor, main_thread
    generation += 1
    survivor = main_thread = this_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@cython.no_gc_clear
cdef class Hold:
    """The right to train a network, for one ``with`` block: the context manager itself has it.

    A signal between the block's parts, which runs neither of them, drops this object, and with it
    what it holds; so no other name may be given to it.
    """

    cdef Core core
    cdef bint held

    def __cinit__(self, Core network not None):
        network.ready()
        self.core = network
        self.held = False

    def __dealloc__(self):
        if self.held:
            self.core.leave()

    def __enter__(self):
        if self.held:
            raise RuntimeError(BUSY)
        self.core.hold()
        self.held = True

    def __exit__(self, *error):
        if self.held:
            self.held = False
            self.core.leave()
