"""The polynomial coefficients of math.inc.h: print them, with their approximation errors.

Run ``python csrc/kernels/coefficients.py``. Computed in 60 digits and rounded to double; the errors
printed are those of the rounded coefficients. Needs mpmath.
"""

from mpmath import (
    atanh,
    chebyfit,
    cos,
    erfc,
    exp,
    expm1,
    fabs,
    linspace,
    log,
    lu_solve,
    matrix,
    mp,
    mpf,
    pi,
    polyval,
    sqrt,
)

mp.dps = 60


def show(name, coefficients, error, interval):
    """Print coefficients, lowest power first, as C literals, and the largest error."""
    worst = max(fabs(error(x)) for x in linspace(*interval, 1000))
    print(
        f"/* {name}: relative error {float(worst):.1e} on [{float(interval[0]):.4f}, "
        f"{float(interval[1]):.4f}] */"
    )
    for power, c in enumerate(coefficients):
        print(f"    {c.hex()}, /* {power} */")


def value(coefficients, x):
    """The polynomial with these coefficients, lowest power first, at x."""
    return polyval([mpf(c) for c in reversed(coefficients)], x)


def least_squares(function, weight, half, terms):
    """Fit `function` on [-half, half], coefficients rounded one by one, lowest power first.

    At Chebyshev's points the weighted squares are close to the least maximum. Each rounding is made
    up for by the coefficients that follow.
    """
    points = [half * cos((2 * i + 1) * pi / 96) for i in range(48)]
    coefficients = []
    while len(coefficients) < terms:
        powers = range(len(coefficients), terms)
        a = matrix([[weight(x) * x**j for j in powers] for x in points])
        b = matrix([weight(x) * (function(x) - value(coefficients, x)) for x in points])
        coefficients.append(float(lu_solve(a.T * a, a.T * b)[0]))
    return coefficients


def rounded(function, interval, terms):
    """Fit `function` on an interval about 0, coefficients rounded one by one, lowest power first.

    Each rounding is made up for by the coefficients that follow; the first one's is added to the
    polynomial.
    """
    low, high = interval
    points = [(low + high + (high - low) * cos((2 * i + 1) * pi / 96)) / 2 for i in range(48)]
    coefficients = [float(chebyfit(function, interval, terms)[-1])]
    rest = chebyfit(function, interval, terms)[-1] - float(coefficients[0])
    while len(coefficients) < terms:
        powers = range(len(coefficients), terms)
        a = matrix([[x**j / function(x) for j in powers] for x in points])
        b = matrix([1 - (rest + value(coefficients, x)) / function(x) for x in points])
        coefficients.append(float(lu_solve(a.T * a, a.T * b)[0]))
    return coefficients


def exponential(r):
    """(exp(r) - 1 - r) / r^2."""
    return (expm1(r) - r) / r**2


def logarithm(z):
    """(2 atanh(s) / s - 2) / s^2 with z = s^2."""
    s = sqrt(z)
    return (2 * atanh(s) / s - 2) / z if z > mpf(10) ** -20 else mpf(2) / 3 + 2 * z / 5


# The variable of the normal tail is q = (t - K) / (t + K). An error of 1e-17 takes 26
# terms for K = 3 and 24 for K = 4.
K = mpf(4)


def tail(q):
    """(t + K) exp(t^2/2) Phi(-t) for t = K (1 + q) / (1 - q)."""
    t = K * (1 + q) / (1 - q)
    return (t + K) * exp(t**2 / 2) * erfc(t / sqrt(2)) / 2


def main():
    """Print everything that math.inc.h holds."""
    half = log(2) / 2 * (1 + mpf(2) ** -20)
    # The weight r makes it the relative error of r + r^2 q(r) = exp(r) - 1 that counts.
    q = least_squares(exponential, lambda r: r, half, 10)
    show(
        "EXP, (exp(r) - 1 - r) / r^2, error of exp(r) - 1",
        q,
        lambda r: (r + r**2 * value(q, r)) / expm1(r) - 1,
        [-half, half],
    )
    s = (sqrt(2) - 1) / (sqrt(2) + 1)
    interval = [mpf(0), s**2 * (1 + mpf(2) ** -20)]
    p = [float(c) for c in reversed(chebyfit(logarithm, interval, 7))]
    show(
        "LOG, (2 atanh(s) / s - 2) / s^2 in s^2",
        p,
        lambda z: value(p, z) / logarithm(z) - 1,
        interval,
    )
    interval = [mpf(-1), (39 - K) / (39 + K)]
    p = rounded(tail, interval, 24)
    low = float(chebyfit(tail, interval, 24)[-1] - p[0])
    show(
        "TAIL, (t + 4) exp(t^2/2) Phi(-t) in q = (t - 4) / (t + 4)",
        p,
        lambda q: (value(p, q) + low) / tail(q) - 1,
        interval,
    )
    print("    and, to be added to power 0,", low.hex())
    print("1 / sqrt(2 pi)", float(1 / sqrt(2 * pi)).hex())
    # The high part keeps 32 bits, so that k times it is exact for every exponent k.
    high = mpf(int(log(2) * 2**32)) / 2**32
    print("LN2_HI", float(high).hex(), "LN2_LO", float(log(2) - high).hex())
    print("LOG2_E", float(1 / log(2)).hex())


if __name__ == "__main__":
    main()
