"""The software FMA against the C library's, which on this machine is the processor's or exact too.

By hand, with more numbers: ``python -m tests.c_export.test_fma 100000000``.
"""

import subprocess
import sys

from deltaloop._c import arithmetic, functions
from deltaloop._c.texts import Names
from tests.c_export.compiled import CC, STRICT, needs_cc

MAIN = """
static uint64_t seed = 88172645463325252u;
static uint64_t any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 2685821657736338717u;
}

/* Any bits; near 1; subnormal; few bits; a power of two; of small exponents; many ones. */
static double pick(void)
{
    const uint64_t u = any(), sign = u & 0x8000000000000000u, bits = u & 0xfffffffffffffu;
    switch (any() % 7) {
    case 0:
        return soft_real(u);
    case 1:
        return soft_real(sign | bits | ((983 + any() % 80) << 52));
    case 2:
        return soft_real(sign | bits);
    case 3:
        return soft_real(sign | (bits & 0xfffff) | ((any() % 2047) << 52));
    case 4:
        return soft_real(u & 0xfff0000000000000u);
    case 5:
        return soft_real(sign | bits | ((500 + any() % 60) << 52));
    default:
        return soft_real((u | 0xffffff0000000u) & 0xbfffffffffffffffu);
    }
}

/* What cancels with x y, nearly or entirely; x y times a power of two; or anything. */
static double third(double x, double y)
{
    switch (any() % 5) {
    case 0:
        return -(x * y);
    case 1:
        return -(x * y) * (1.0 + ((double)(any() % 9) - 4.0) * 2.220446049250313e-16);
    case 2:
        return ldexp(x * y, (int)(any() % 240) - 120) * ((any() & 1) ? 1.0 : -1.0);
    case 3:
        return soft_real(soft_bits(-(x * y)) + any() % 5 - 2);
    default:
        return pick();
    }
}

int main(int count, char **words)
{
    long n = count > 1 ? atol(words[1]) : 0;
    for (; n > 0; n--) {
        const double x = pick(), y = pick(), z = third(x, y);
        const double a = soft_soft_fma(x, y, z), b = fma(x, y, z);
        if (soft_bits(a) != soft_bits(b) && !(a != a && b != b)) {
            printf("%a %a %a: %a, not %a\\n", x, y, z, a, b);
            return 1;
        }
    }
    return 0;
}
"""


def program(folder):
    """Compile the comparison."""
    names = Names("soft")
    parts = [
        "#define DELTALOOP_SOFT_FMA",
        *(f"#include <{name}.h>" for name in ("math", "stdint", "stdio", "stdlib", "string")),
        arithmetic.macros(names, MAIN),
        functions.needed(names, ""),
        MAIN,
    ]
    source, result = folder / "fma.c", folder / "fma"
    source.write_text("\n".join(parts))
    command = [CC, *STRICT, "-O2", "-ffp-contract=off", str(source), "-o", str(result), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return result


@needs_cc
def test_exact(tmp_path):
    done = subprocess.run(
        [str(program(tmp_path)), "1000000"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout


if __name__ == "__main__":
    import pathlib
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        sys.exit(subprocess.run([str(program(pathlib.Path(folder))), *sys.argv[1:]]).returncode)
