"""Targets that are amounts, a few of which are most of the sum: how a report names them."""

from __future__ import annotations

from collections.abc import Sequence

from deltaloop._scaling import Floats

__all__ = ["skewed"]

# The third standardised moment of an exponential distribution is 2.
SKEWED = 2.0


def skewed(y: Floats, names: Sequence[str]) -> list[str]:
    """Return a sentence for each target of y (n, k) whose values are skewed amounts."""
    found = []
    for values, name in zip(y.T, names, strict=True):
        spread = values.std()
        if values.min() < 0 or not spread > 0:
            continue
        if (((values - values.mean()) / spread) ** 3).mean() < SKEWED:
            continue
        values = sorted(values.tolist(), reverse=True)
        most = sum(values[: max(1, len(values) // 10)]) / sum(values)
        found.append(
            f"the target {name!r} is skewed: a tenth of the rows has {100 * most:.0f} % of its "
            "sum, and R^2 and RMSE hang on these rows; predict its logarithm if ratios matter, "
            "or take loss='absolute_error' if the usual value does"
        )
    return found
