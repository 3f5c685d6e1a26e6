"""Environment variables that decide how a numerical library computes."""

from __future__ import annotations

import os

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NPROC",  # XLA
)

PREFIXES = (
    "DELTALOOP_",
    "NPY_",
    "OPENBLAS_",
    "MKL_",
    "BLIS_",
    "ATEN_",
    "DNNL_",
    "ONEDNN_",
    "XLA_",
    "GOMP_",
    "KMP_",
)

# Every library of the registry held to AVX2. OpenBLAS calls its AVX2 kernels Haswell's. XLA's limit
# does not reach YNNPACK, which would multiply with AVX-512: without it XLA takes Eigen's products.
# ONNX Runtime has no such switch. What NumPy has beyond AVX2 differs from version to version.
AVX2 = {
    "DELTALOOP_ISA": "avx2",
    "OPENBLAS_CORETYPE": "Haswell",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
}


def cpus() -> int:
    """CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def threads(n: int) -> dict[str, str]:
    """What gives n threads to a library that is not loaded yet."""
    return dict.fromkeys(THREAD_VARIABLES, str(n))


def settings(environ) -> dict[str, str]:
    """What makes a library run other code than it would by itself; the threads are not listed."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name.startswith(PREFIXES) and name not in THREAD_VARIABLES
    }
