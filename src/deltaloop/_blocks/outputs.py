"""What a network says of instances that are read block by block."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments.problem import Problem
from deltaloop._blocks import kinds as _kinds
from deltaloop._blocks.ahead import each
from deltaloop._blocks.opened import Opened
from deltaloop._blocks.survey import instances, place


def predict(
    network: _core.Core, kind: _kinds.Kind, X: object, out: object, threads: int
) -> NDArray[np.float64]:
    """Return the outputs of all rows, in `out` if that is given."""
    source = _kinds.reader(kind, X, None)
    source.alone = True
    m0, m = network.layers[0], network.layers[-1]
    parts: list[NDArray[np.float64]] = []
    into = None
    if out is not None:
        shape = (len(out), m) if isinstance(out, np.ndarray) and out.ndim else (0, m)
        into = _arrays.output(network, out, shape, np.empty((0, m0)))
    row = 0
    for i, block in enumerate(each(source)):
        x = instances(block, m0, place("X", i, row), check_finite=False, names=source.names)
        if into is None:
            parts.append(np.empty((len(x), m)))
        elif row + len(x) > len(into):
            raise ValueError(f"out has {len(into)} rows and X has more; out is filled so far")
        result = parts[-1] if into is None else into[row : row + len(x)]
        network._predict(x, result, False, threads)
        row += len(x)
    if into is None:
        return np.concatenate(parts) if parts else np.empty((0, m))
    if row != len(into):
        raise ValueError(f"out has {len(into)} rows and X has {row}; the first {row} are filled")
    return cast("NDArray[np.float64]", out)


def cost(
    network: _core.Core,
    kind: _kinds.Kind,
    X: object,
    Y: object,
    problem: Problem,
    *,
    sample_weight: Any,
    skip: bool,
    threads: int,
) -> float:
    """Return C of all rows."""
    with Opened(
        kind, network, X, Y, sample_weight=sample_weight, skip=skip, threads=threads
    ) as data:
        targets = _core.GAPS if data.missing else 0
        problem = problem._replace(weights=data.weights, targets=targets)
        return network._cost(data.x, data.y, data.labels, False, threads, problem)[0]
