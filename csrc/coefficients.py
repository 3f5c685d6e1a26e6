"""The polynomial coefficients of vmath.inc.h: print them, with their approximation errors.

Run ``python csrc/coefficients.py``. Each is a Chebyshev fit in 60 digits, rounded to double; the
errors printed are those of the rounded coefficients. Needs mpmath.
"""

from mpmath import atanh, chebyfit, expm1, fabs, linspace, log, mp, mpf, polyval, sqrt

mp.dps = 60


def fit(name, function, interval, terms):
    """Print the coefficients of the fit to `function`, lowest power first, as C literals."""
    coefficients = [float(c) for c in chebyfit(function, interval, terms)]
    error = max(
        fabs(polyval([mpf(c) for c in coefficients], x) / function(x) - 1)
        for x in linspace(*interval, 1001)
    )
    print(
        f"/* {name}: relative error {float(error):.1e} on [{float(interval[0]):.4f}, "
        f"{float(interval[1]):.4f}] */"
    )
    for power, c in enumerate(reversed(coefficients)):
        print(f"    {c.hex()}, /* {power} */")


def exponential(r):
    """(exp(r) - 1 - r) / r^2."""
    return (expm1(r) - r) / r**2 if fabs(r) > mpf(10) ** -15 else mpf(1) / 2 + r / 6


def logarithm(z):
    """(2 atanh(s) / s - 2) / s^2 with z = s^2."""
    s = sqrt(z)
    return (2 * atanh(s) / s - 2) / z if z > mpf(10) ** -20 else mpf(2) / 3 + 2 * z / 5


def main():
    """Print everything that vmath.inc.h holds."""
    half = log(2) / 2 * (1 + mpf(2) ** -20)
    fit("EXP, (exp(r) - 1 - r) / r^2", exponential, [-half, half], 10)
    s = (sqrt(2) - 1) / (sqrt(2) + 1)
    fit(
        "LOG, (2 atanh(s) / s - 2) / s^2 in s^2", logarithm, [mpf(0), s**2 * (1 + mpf(2) ** -20)], 7
    )
    # The high part keeps 32 bits, so that k times it is exact for every exponent k.
    high = mpf(int(log(2) * 2**32)) / 2**32
    print("LN2_HI", float(high).hex(), "LN2_LO", float(log(2) - high).hex())
    print("LOG2_E", float(1 / log(2)).hex())


if __name__ == "__main__":
    main()
