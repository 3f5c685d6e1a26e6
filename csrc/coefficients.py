"""The polynomial coefficients of vmath.inc.h: print them, with their approximation errors.

Run ``python csrc/coefficients.py``. Computed in 60 digits and rounded to double; the errors printed
are those of the rounded coefficients. Needs mpmath.
"""

from mpmath import (
    atanh,
    chebyfit,
    cos,
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


def exponential(r):
    """(exp(r) - 1 - r) / r^2."""
    return (expm1(r) - r) / r**2


def logarithm(z):
    """(2 atanh(s) / s - 2) / s^2 with z = s^2."""
    s = sqrt(z)
    return (2 * atanh(s) / s - 2) / z if z > mpf(10) ** -20 else mpf(2) / 3 + 2 * z / 5


def main():
    """Print everything that vmath.inc.h holds."""
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
    # The high part keeps 32 bits, so that k times it is exact for every exponent k.
    high = mpf(int(log(2) * 2**32)) / 2**32
    print("LN2_HI", float(high).hex(), "LN2_LO", float(log(2) - high).hex())
    print("LOG2_E", float(1 / log(2)).hex())


if __name__ == "__main__":
    main()
