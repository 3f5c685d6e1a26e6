# What has a name in csrc/mlp.h, by that name; statuses as exceptions; and the variants of the kernels.

ctypedef const char *(*name_of)(size_t) noexcept nogil


cdef dict numbers(name_of name):
    """The names that C gives, each with the value of its enumerator."""
    cdef size_t i = 0
    result = {}
    while name(i) != NULL:
        result[name(i).decode()] = i
        i += 1
    return result


ACTIVATIONS = numbers(mlp_activation_name)
LOSSES = numbers(mlp_loss_name)
DAMPING_RULES = numbers(mlp_damping_name)
cdef dict FUNCTIONS = numbers(mlp_function_name)
cdef dict SOLVERS = numbers(mlp_solver_name)
cdef dict SCHEDULES = numbers(mlp_schedule_name)
cdef tuple EVENTS = tuple(numbers(mlp_event_name))

# Multiply-adds from which a call outlasts what releasing the GIL costs (about 0.1 us, 1 %).
cdef double GIL_WORK = 50_000.0


cdef int check(mlp_status status) except -1:
    """The one table from status to exception."""
    if status == MLP_OK:
        return 0
    if status == MLP_NO_MEMORY:
        raise MemoryError("deltaloop: out of memory")
    if status == MLP_STOPPED:
        return -1  # a signal has raised
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
    name = os.environ.get("DELTALOOP_ISA", "")
    if not name:
        return BEST_ISA
    if name not in ISAS:
        raise ValueError(
            f"DELTALOOP_ISA must be one of {', '.join(ISAS)} on this machine, got {name!r}"
        )
    return isa_of(name)


cdef const mlp_kernels *isa_of(name) except NULL:
    """The variant of that name, one of ISAS."""
    cdef size_t i = 0
    while mlp_isa_name(mlp_isa(i)).decode() != name:
        i += 1
    return mlp_isa(i)


def isa():
    """Name of the variant in use."""
    return mlp_isa_name(choose_isa()).decode()
