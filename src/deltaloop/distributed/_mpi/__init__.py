"""Training over the ranks of an MPI communicator, by mpi4py; only messages of bytes, no pickles."""
