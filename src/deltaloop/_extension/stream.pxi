# The random stream.

# Entries of a permutation that are drawn between two looks at signals: some milliseconds.
cdef size_t ENTRIES = 1 << 17


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
        """A random permutation of 0..n-1, n - 1 words; signals are served."""
        cdef cnp.ndarray order = np.empty(n, dtype=np.uintp)
        cdef size_t *data = <size_t *>cnp.PyArray_DATA(order)
        cdef size_t i = 0, left = n
        while i < n:
            for i in range(i, min(n, i + ENTRIES)):
                data[i] = i
            i += 1
            PyErr_CheckSignals()
        while left > 1:
            left = mlp_random_shuffle(&self.stream, left, ENTRIES, data)
            PyErr_CheckSignals()
        return order
