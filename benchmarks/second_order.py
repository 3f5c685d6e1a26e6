"""L-BFGS and Levenberg and Marquardt's method around the formulas of a contender.

Both make a fixed number of iterations, for the time is that of one. An iteration of L-BFGS has one
or two evaluations of the cost and its gradient, by the line search. One of Levenberg and
Marquardt's method has one Jacobian, and as many costs as it takes until one is lower.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cells import Floats

MEMORY = 10  # pairs of L-BFGS, as in deltaloop

Value = Callable[[Floats], tuple[float, Floats]]


def lbfgs(value: Value, start: Floats, iterations: int) -> Callable[[], Floats]:
    """SciPy's L-BFGS-B, which stops for nothing but the number of iterations."""
    from scipy.optimize import fmin_l_bfgs_b

    def run() -> Floats:
        parameters, _, found = fmin_l_bfgs_b(
            value, start.copy(), m=MEMORY, factr=0.0, pgtol=0.0, maxiter=iterations
        )
        if found["nit"] != iterations:
            raise SystemExit(f"L-BFGS-B ends after {found['nit']} iterations: {found['task']}")
        return parameters

    return run


def levenberg(
    equations: Callable[[Floats], tuple[Floats, Floats, float]],
    cost: Callable[[Floats], float],
    start: Floats,
    iterations: int,
) -> Callable[[], Floats]:
    """(J^T J + mu I) p = -J^T e by Cholesky's factors; mu is a tenth or ten times the last one."""
    from scipy.linalg.lapack import dposv

    def run() -> Floats:
        w, mu = start, 1e-3
        for _ in range(iterations):
            A, g, C = equations(w)
            A, g = np.asarray(A), np.asarray(g)
            while True:
                damped = A.copy()
                damped.flat[:: len(A) + 1] += mu
                _, p, failed = dposv(damped, g, lower=1)
                if not failed and cost(w - p) < C:
                    break
                mu *= 10.0
                if mu > 1e20:
                    raise SystemExit("Levenberg and Marquardt's method finds no step")
            w, mu = w - p, mu / 10.0
        return w

    return run


class Enough(Exception):
    """Raised out of SciPy's loop."""


def minpack(
    residuals: Callable[[Floats], Floats],
    jacobian: Callable[[Floats], Floats],
    start: Floats,
    iterations: int,
) -> Callable[[], Floats]:
    """MINPACK's LMDER by `scipy.optimize.least_squares`, which has no limit of iterations."""
    from scipy.optimize import least_squares

    # It takes none below the machine's epsilon.
    tolerances = dict.fromkeys(("ftol", "xtol", "gtol"), 1.01 * np.finfo(float).eps)

    def run() -> Floats:
        seen = []

        def counted(w: Floats) -> Floats:
            seen.append(w.copy())
            if len(seen) > iterations:
                raise Enough
            return jacobian(w)

        try:
            least_squares(residuals, start, counted, method="lm", **tolerances)
        except Enough:
            return seen[-1]
        raise SystemExit(f"MINPACK ends after {len(seen)} iterations")

    return run
