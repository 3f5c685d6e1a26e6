"""Seeds, and the initial parameters that are drawn from them.

The words of a stream are those of ``numpy.random.Philox(seed)``; how they become numbers is written
in ``csrc/network/random.c`` and, for reading and testing, in ``reference.py``.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core, _scalars
from deltaloop.inits import Init, Uniform


def check_seed(seed: object) -> None:
    """Refuse what is no seed."""
    if seed is not None and not isinstance(seed, np.random.Generator):
        try:
            _scalars.integer("seed", seed, at_least=0)
        except TypeError:
            raise TypeError(
                "seed must be an integer, a numpy.random.Generator or None, "
                f"got {type(seed).__name__}"
            ) from None


def resolve_seed(seed: object) -> int:
    """Return the seed as an integer: itself, a generator's next word, or fresh entropy for None."""
    check_seed(seed)
    if seed is None:
        entropy = np.random.SeedSequence().entropy
        assert isinstance(entropy, int)
        return entropy
    if isinstance(seed, np.random.Generator):
        return int(seed.bit_generator.random_raw())
    return operator.index(seed)  # type: ignore[arg-type]


@lru_cache(maxsize=64)
def key(seed: int) -> tuple[int, int]:
    """Return the key of a seed's stream. To make one takes as long as a short fit."""
    words = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    return int(words[0]), int(words[1])


def stream(seed: int, position: int = 0) -> _core.Stream:
    """Return the stream of a seed, from its word number `position` on."""
    return _core.Stream(key(seed), position)


def draw_parameters(
    layers: tuple[int, ...],
    init: Init,
    source: _core.Stream,
    parameters: NDArray[np.float64],
    skips: tuple[int, ...] = (),
) -> None:
    """Fill `parameters` layer by layer, w then b, in memory order.

    With fan_in = m^(l-1) and fan_out = m^(l): ``uniform`` is Unif[-1, 1] for weights and biases.
    The others have zero biases and the variance 2 / fan_in (He et al. 2015), 2 / (fan_in + fan_out)
    (Glorot and Bengio 2010) or 1 / fan_in (LeCun et al. 1998), as a uniform distribution, whose
    limit is sqrt(3 variance), or as a normal one. ``nguyen_widrow`` (Nguyen and Widrow 1990) is for
    inputs in [-1, 1]: each unit of a hidden layer gets weights of the length beta = 0.7
    fan_out^(1/fan_in) in a random direction, Unif[-1, 1] of each weight before, and a bias from
    Unif[-beta, beta]; the output layer's weights and biases are from Unif[-1/2, 1/2]. In layers
    that are skipped the variances are divided by S^2, where S is the number of skips: each layer
    then adds about 1/S of what it is given, and all of them, even where they add up with one sign
    as relu units do, a factor of at most e, above (1 + 1/S)^S.
    """
    if isinstance(init, Uniform):
        source.range(parameters, init.low, init.high)
        return
    scheme, _, shape = init.partition("_")
    begin = 0
    for l, (fan_in, fan_out) in enumerate(pairwise(layers), start=1):
        w = parameters[begin : begin + fan_in * fan_out]
        b = parameters[begin + fan_in * fan_out : begin + (fan_in + 1) * fan_out]
        begin += (fan_in + 1) * fan_out
        if init == "uniform":
            source.uniform(w, 1, 1)
            source.uniform(b, 1, 1)
            continue
        if init == "nguyen_widrow":
            if begin < parameters.size:
                source.nguyen_widrow(w, b, _widrow_length(fan_in, fan_out))
            else:
                source.range(w, -0.5, 0.5)
                source.range(b, -0.5, 0.5)
            continue
        variances = {"he": (2, fan_in), "glorot": (2, fan_in + fan_out), "lecun": (1, fan_in)}
        numerator, denominator = variances[scheme]
        denominator *= len(skips) ** 2 if l in skips else 1
        if shape == "uniform":
            source.uniform(w, 3 * numerator, denominator)
        else:
            source.normal(w, numerator, denominator)
        b[:] = 0.0


def _widrow_length(fan_in: int, fan_out: int) -> float:
    """Return 0.7 fan_out^(1/fan_in), rounded to nearest whatever libm and the rounding mode are."""
    from decimal import Context, Decimal

    context = Context(prec=40)
    root = context.power(Decimal(fan_out), context.divide(Decimal(1), Decimal(fan_in)))
    scaled = context.multiply(root, Decimal(7 * 10**28))
    return int(scaled) / 10**29  # integers divide without the processor's floating point
