"""exp, tanh, log and the two built from them, against mpmath.

The rule: a result is within 2 units in the last place of the exact value where that is a normal
number, and within one spacing, 2^-1074, where it is subnormal; gelu is within 5 on the baseline,
which has no FMA to keep what its products round off. NaN gives NaN; the limits at infinities, the
signs of zeros and the exact values at 0 (of log: at 1) are those of the functions.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltaloop import _core
from tests.helpers.compare import bits
from tests.helpers.oracle import mp

INF, NAN, TINY = math.inf, math.nan, 2.0**-1022

# Beyond this |x| the results no longer change, and mpmath would need ever longer numbers.
FAR = 1e4

EXACT = {
    "exp": lambda x: mp.exp(min(max(x, -FAR), FAR)),
    "tanh": lambda x: mp.tanh(min(max(x, -FAR), FAR)),
    "log": mp.log,
    "sigmoid": lambda x: 1 / (1 + mp.exp(-min(max(x, -FAR), FAR))),
    "log1p_exp": lambda x: mp.log1p(mp.exp(-min(abs(x), FAR))),
    "expm1_negative": lambda x: mp.expm1(-min(abs(x), FAR)),
    "softplus": lambda x: max(x, mp.mpf(0)) + mp.log1p(mp.exp(-min(abs(x), FAR))),
    "silu": lambda x: x / (1 + mp.exp(-min(max(x, -FAR), FAR))),
    "gelu": lambda x: x * normal(min(max(x, -60), 60)),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(min(max(x, -FAR), FAR)))),
}
LIMITS = {"gelu": 5 if _core.isa() == "base" else 2}


def normal(x):
    """The distribution function Phi of the standard normal distribution."""
    return mp.erfc(-x / mp.sqrt(2)) / 2


every_function = pytest.mark.parametrize("name", EXACT)
# mpmath takes a minute for all of the points: one in so many of them is looked at in any run.
one_in = pytest.mark.parametrize("one_in", [12, pytest.param(1, marks=pytest.mark.slow)])


def vector_math(name, x):
    y = _core.vector_math(name, np.array(x, dtype=np.float64))
    assert y.dtype == np.float64
    assert y.shape == np.shape(x)
    return y


def errors(name, x):
    """The errors at finite x in units in the last place; in spacings where the value is subnormal.

    Returns two arrays: of normal and of subnormal values.
    """
    normal, subnormal = [], []
    for x_i, y_i in zip(x.tolist(), vector_math(name, x).tolist(), strict=True):
        exact = EXACT[name](mp.mpf(x_i))
        if exact >= mp.mpf(2) ** 1024:
            assert y_i == INF
            continue
        assert math.isfinite(y_i), (name, x_i.hex())
        exponent = mp.frexp(exact)[1] if exact else -1074  # |exact| = m 2^exponent, 1/2 <= m < 1
        unit = mp.ldexp(1, max(exponent - 53, -1074))
        error = float(abs(mp.mpf(y_i) - exact) / unit)
        (normal if exponent > -1022 else subnormal).append(error)
    return np.array(normal), np.array(subnormal)


def random_points(name, n):
    rng = np.random.default_rng(0)
    spread = {"tanh": 20, "log": 3, "expm1_negative": 40, "gelu": 40}.get(name, 745)
    x = np.concatenate(
        [rng.uniform(-spread, spread, n), rng.normal(size=n), rng.uniform(0.5, 2, n)]
    )
    return np.abs(x) if name == "log" else x


def all_exponents(name):
    """Four numbers in each of the 2,046 binades, subnormal ones, and either sign."""
    rng = np.random.default_rng(1)
    mantissa = rng.uniform(1, 2, (4, 2046))
    mantissa[0] = 1.0
    mantissa[1] = np.nextafter(2.0, 0)
    x = np.ldexp(mantissa, np.arange(-1022, 1024)).ravel()
    x = np.concatenate([x, np.ldexp(1.0, np.arange(-1074, -1022)), rng.uniform(0, TINY, 50)])
    return x if name == "log" else np.concatenate([x[::2], -x[1::2]])


# Where searches have found large errors: of sigmoid, 1.9954 and 1.9995, of log(1 + exp(-|x|)) and
# softplus, and of silu without FMA.
WORST = [
    float.fromhex(x)
    for x in (
        "-0x1.2b71c5dff9d97p+5",
        "-0x1.2b70d8c7d90abp+5",
        "0x1.42df9ed2dc2dep+0",
        "-0x1.44b49d7d1116ap+0",
        "-0x1.49f0fbeb47a56p+5",
    )
]


def hard_points(name):
    """Where an implementation changes its path or loses digits, with the doubles on either side."""
    ln2 = math.log(2)
    k = np.arange(-1080, 1024)
    if name == "log":
        x = np.concatenate(
            [
                np.ldexp(math.sqrt(0.5), k),
                np.ldexp(0.75, k),
                1 + np.ldexp([[1.0], [-1.0]], np.arange(-53, 0)).ravel(),
                np.arange(1, 65) / 32,
                [TINY, np.finfo(float).max],
            ]
        )
    else:
        x = np.concatenate(
            [
                k * ln2,
                (k + 0.5) * ln2,
                np.arange(-160, 160) * ln2 / 4,
                np.arange(-64, 65) / 16,
                np.ldexp(1.0, np.arange(-60, 11)),
                -np.ldexp(1.0, np.arange(-60, 11)),
                math.log(TINY) + np.arange(-40, 40) / 64,
                -1074 * ln2 + np.arange(-70, 40) / 64,
                [math.log(np.finfo(float).max), -37.0, 37.0, -19.1, 19.1, 22.0, -22.0, -0.69],
                WORST,
            ]
        )
    with np.errstate(over="ignore"):
        x = np.concatenate([x, np.nextafter(x, INF), np.nextafter(x, -INF)])
    return x[np.isfinite(x) & ((x > 0) | (name != "log"))]


@every_function
@pytest.mark.parametrize("points", ["random", "exponents", "hard"])
@one_in
def test_within_two_units(name, points, one_in, record_property):
    if points == "random":
        x = random_points(name, 2500)
    else:
        x = all_exponents(name) if points == "exponents" else hard_points(name)
    x = x[::one_in] if name == "log" else np.concatenate([WORST, x[::one_in]])
    normal, subnormal = errors(name, x)
    record_property(f"{name}, largest error in ulp", round(normal.max(), 3))
    assert normal.max() <= LIMITS.get(name, 2)
    if subnormal.size:
        record_property(f"{name}, largest error in 2^-1074", round(subnormal.max(), 3))
        assert subnormal.max() <= 1


EXTENDED = {
    "exp": np.exp,
    "tanh": np.tanh,
    "log": np.log,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "log1p_exp": lambda x: np.log1p(np.exp(-np.abs(x))),
    "expm1_negative": lambda x: np.expm1(-np.abs(x)),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
}


@pytest.mark.parametrize("name", EXTENDED)
@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="long double is not wider")
@one_in
def test_worst_of_a_million(name, one_in, record_property):
    """A wider long double finds the points with the largest errors; mpmath measures these."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(-r, r, 160_000) for r in (0.5, 2, 5, 40, 700)])
    # Where three roundings of tanh meet, and where 1 is lost beside exp(-x) or exp(-2|x|) beside 1.
    near = [rng.uniform(*r, 50_000) for r in ((0.1, 0.13), (0.45, 0.55), (-39, -33), (16, 20))]
    x = np.concatenate([x, *near])[::one_in]
    x = np.abs(x) if name == "log" else x
    exact = EXTENDED[name](x.astype(np.longdouble))
    estimate = np.abs(vector_math(name, x) - exact) / np.spacing(np.abs(exact.astype(np.float64)))
    worst = x[np.argsort(estimate)[-100:]]
    normal, _ = errors(name, worst)
    record_property(f"{name}, largest error in ulp", round(normal.max(), 3))
    assert normal.max() <= 2, worst[normal.argmax()].hex()


@every_function
@given(x=st.floats(allow_nan=False, allow_infinity=False))
def test_any_double(name, x):
    if name == "log":
        x = abs(x) or 1.0
    normal, subnormal = errors(name, np.array([x]))
    assert normal.max(initial=0) <= LIMITS.get(name, 2)
    assert subnormal.max(initial=0) <= 1


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("exp", INF, INF),
        ("exp", -INF, 0.0),
        ("exp", -746.0, 0.0),
        ("exp", -1e308, 0.0),
        ("exp", 710.0, INF),
        ("exp", 1e308, INF),
        ("exp", 5e-324, 1.0),
        ("tanh", 0.0, 0.0),
        ("tanh", -0.0, -0.0),
        ("tanh", INF, 1.0),
        ("tanh", -INF, -1.0),
        ("tanh", 1e308, 1.0),
        ("tanh", 5e-324, 5e-324),
        ("tanh", -5e-324, -5e-324),
        ("tanh", 2.0**-1022, 2.0**-1022),
        ("log", 1.0, 0.0),
        ("log", 0.0, -INF),
        ("log", -0.0, -INF),
        ("log", INF, INF),
        ("log", -1.0, NAN),
        ("log", -5e-324, NAN),
        ("log", -INF, NAN),
        ("sigmoid", 0.0, 0.5),
        ("sigmoid", -0.0, 0.5),
        ("sigmoid", INF, 1.0),
        ("sigmoid", -INF, 0.0),
        ("sigmoid", 1e308, 1.0),
        ("sigmoid", -1e308, 0.0),
        ("log1p_exp", INF, 0.0),
        ("log1p_exp", -INF, 0.0),
        ("log1p_exp", 1e308, 0.0),
        ("log1p_exp", -1e308, 0.0),
        ("expm1_negative", 0.0, 0.0),
        ("expm1_negative", INF, -1.0),
        ("expm1_negative", -INF, -1.0),
        ("expm1_negative", 5e-324, -5e-324),
        ("softplus", INF, INF),
        ("softplus", -INF, 0.0),
        ("softplus", 1e308, 1e308),
        ("softplus", -1e308, 0.0),
        ("silu", 0.0, 0.0),
        ("silu", -0.0, -0.0),
        ("silu", INF, INF),
        ("silu", -INF, -0.0),
        ("silu", 1e308, 1e308),
        ("silu", -1e308, -0.0),
        ("gelu", 0.0, 0.0),
        ("gelu", -0.0, -0.0),
        ("gelu", INF, INF),
        ("gelu", -INF, -0.0),
        ("gelu", 1e308, 1e308),
        ("gelu", -1e308, -0.0),
        ("mish", 0.0, 0.0),
        ("mish", -0.0, -0.0),
        ("mish", INF, INF),
        ("mish", -INF, -0.0),
        ("mish", 1e308, 1e308),
        ("mish", -1e308, -0.0),
        ("silu_derivative", 0.0, 0.5),
        ("silu_derivative", 1e308, 1.0),
        ("silu_derivative", -1e308, -0.0),
        ("gelu_derivative", 0.0, 0.5),
        ("gelu_derivative", 1e308, 1.0),
        ("gelu_derivative", -1e308, -0.0),
        ("mish_derivative", 0.0, 0.6),
        ("mish_derivative", INF, 1.0),
        ("mish_derivative", -INF, -0.0),
        ("mish_derivative", 1e308, 1.0),
        ("mish_derivative", -1e308, -0.0),
        ("mish_derivative", NAN, NAN),
        *[(name, NAN, NAN) for name in EXACT],
        *[(name, -NAN, NAN) for name in EXACT],
    ],
)
def test_special_values(name, x, y):
    for n in (1, 2, 3, 4, 7, 8, 9):
        got = vector_math(name, [x] * n)
        if math.isnan(y):
            assert np.isnan(got).all()
        else:
            assert (bits(got) == bits(y)).all()


def test_thresholds_of_exp():
    """The last finite value and the next one, the last normal, the last that is not 0."""
    above = math.log(np.finfo(float).max)
    assert vector_math("exp", [above, np.nextafter(above, INF)]).tolist() == [
        pytest.approx(np.finfo(float).max, rel=1e-12),
        INF,
    ]
    x = float.fromhex("-0x1.74910d52d3051p+9")  # exp(x) is just above 2^-1075, its half spacing
    y = vector_math("exp", [x, np.nextafter(x, -INF)])
    assert set(y.tolist()) <= {0.0, 5e-324}


@every_function
def test_ranges_and_symmetry(name):
    """tanh is odd and in [-1, 1]; a sigmoid stays in [0, 1]; log1p_exp in [0, log 2] and even."""
    x = np.concatenate([random_points(name, 20_000), hard_points(name)])
    y = vector_math(name, x)
    if name == "tanh":
        assert np.abs(y).max() <= 1
        assert (bits(vector_math(name, -x)) == bits(-y)).all()
    elif name == "sigmoid":
        assert y.min() >= 0
        assert y.max() <= 1
    elif name == "log1p_exp":
        assert y.min() >= 0
        assert y.max() <= np.nextafter(math.log(2), 1)
        assert (bits(vector_math(name, -x)) == bits(y)).all()
    elif name in ("exp", "softplus"):
        assert y.min() >= 0
    elif name == "expm1_negative":
        assert y.min() >= -1
        assert y.max() <= 0
    elif name in ("silu", "gelu", "mish"):
        # Between the least value, which is never reached by much, and x.
        assert (y[x >= 0] <= x[x >= 0]).all()
        least = {
            "silu": -0.2784645427610739,
            "gelu": -0.16997120747990369,
            "mish": -0.3088434130172505,
        }
        assert y.min() >= least[name]


ZEROS_OF_DERIVATIVES = {
    "silu_derivative": -1.2784645427610738,
    "gelu_derivative": -0.7517915246935645,
    "mish_derivative": -1.1924312145154955,
}


@pytest.mark.parametrize("name", ZEROS_OF_DERIVATIVES)
@one_in
def test_derivatives(name, one_in, record_property):
    """Within 4 units (6 without FMA) in the last place of the sum of the terms' absolute values.

    g' has a zero, near which its two terms cancel.
    """
    near = ZEROS_OF_DERIVATIVES[name] + np.linspace(-1e-3, 1e-3, 101)
    x = np.concatenate([random_points(name[:4], 2000), all_exponents(name)[::3]])
    x = np.concatenate([x[::one_in], near])
    worst = 0.0
    for x_i, y_i in zip(x.tolist(), vector_math(name, x).tolist(), strict=True):
        z = min(max(mp.mpf(x_i), -FAR), FAR)
        if name == "silu_derivative":
            first = 1 / (1 + mp.exp(-z))
            second = z * first / (1 + mp.exp(z))
        elif name == "mish_derivative":
            first = mp.tanh(mp.log1p(mp.exp(z)))
            second = z * (1 - first**2) / (1 + mp.exp(-z))
        else:
            z = min(max(z, -60), 60)
            first, second = normal(z), z * mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
        scale = float(first + abs(second))
        error = abs(mp.mpf(y_i) - (first + second)) / max(np.spacing(scale), 2.0**-1022)
        worst = max(worst, float(error))
    record_property(f"{name}, largest error in ulp of its terms", round(worst, 3))
    assert worst <= (6 if _core.isa() == "base" else 4)


@every_function
def test_no_dependence_on_neighbours(name):
    """A value is the same bits alone, in a vector and in a tail, whatever stands beside it."""
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, INF, -INF, NAN, 1.0, -1.0, 710.0, -746.0, 1e308, 5e-324, TINY, -720.0]
    x = np.concatenate([hard_points(name)[:200], random_points(name, 30), special])
    rng.shuffle(x)
    alone = np.concatenate([vector_math(name, [x_i]) for x_i in x])
    for start in (0, 1, 2, 3, 5):
        for n in (*range(1, 40), x.size - start):
            part = slice(start, start + n)
            y = vector_math(name, x[part])
            same = (bits(y) == bits(alone[part])) | (np.isnan(y) & np.isnan(alone[part]))
            assert same.all()


def test_unknown_name():
    with pytest.raises((KeyError, ValueError), match="cos"):
        _core.vector_math("cos", np.zeros(1))
