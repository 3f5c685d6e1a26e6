"""Fingerprints of the rows that a model learned from, to tell when it predicts them.

A fingerprint is a hash of a row's inputs. A model keeps the smallest ones, at most `KEPT`: with few
rows those of all of them, with many a sample that does not depend on the order. A row to predict
whose fingerprint is above the largest one that is kept says nothing; of the others it is known
whether they equal a row that was learned. No value of a row can be read from its fingerprint, but
who has a row can see whether it was learned, if its fingerprint is among those that are kept.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deltaloop._scaling import Floats

__all__ = ["Fingerprints"]

KEPT = 1024
# The multipliers of the finaliser of SplitMix64 (Steele, Lea, Flood 2014), and its increment.
FIRST, SECOND, GOLDEN = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0x9E3779B97F4A7C15
# More equal rows than chance by so many standard deviations are none of chance.
CLEAR = 3.0


class Fingerprints(NamedTuple):
    """The smallest fingerprints of the training rows, ascending, and whether they are all.

    `usual` is the part of new rows that equal a training row by themselves, as those that were
    held out did: tables of few columns hold the same rows again and again. It is the rule of
    succession's: of no rows held out one half.
    """

    kept: NDArray[np.uint64]
    all: bool
    usual: float

    @classmethod
    def of(cls, learned: Floats, held: Floats) -> Fingerprints:
        """Return those of the inputs of training rows; `held` are rows that were held out."""
        found = np.unique(_hashes(learned))
        kept = cls(found[:KEPT], len(found) <= KEPT, 0.0)
        part, n = kept.part(held)
        return kept._replace(usual=(part * n + 1.0) / (n + 2.0))

    def part(self, X: Floats) -> tuple[float, int]:
        """Return which part of rows equal training rows, and of how many rows that is known."""
        found = _hashes(X)
        if not self.all:
            found = found[found <= self.kept[-1]]
        if not len(found):
            return 0.0, 0
        return float(np.isin(found, self.kept).mean()), len(found)

    def seen(self, X: Floats) -> float | None:
        """Return which part of rows the model learned from; None where that may be chance."""
        part, n = self.part(X)
        spread = np.sqrt(max(self.usual * (1.0 - self.usual), 0.0) * n)
        more = part > 0.0 and part * n > self.usual * n + CLEAR * spread
        return part if more else None

    def text(self) -> str:
        """Return the kept fingerprints as text."""
        return base64.b64encode(self.kept.astype("<u8").tobytes()).decode("ascii")

    @classmethod
    def of_text(cls, text: str, everything: bool, usual: float) -> Fingerprints:
        """Read what `text` wrote. ValueError if it is anything else."""
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if not content or len(content) % 8 or len(content) > 8 * KEPT:
            raise ValueError(f"expected fingerprints of 1 to {KEPT} rows as base64")
        kept = np.frombuffer(content, "<u8").astype(np.uint64)
        if not (kept[:-1] < kept[1:]).all():
            raise ValueError("expected fingerprints of rows to be ascending")
        return cls(kept, everything, usual)


def _hashes(X: Floats) -> NDArray[np.uint64]:
    """Return a hash of each row, (n,); 0 and -0 are the same number."""
    found = np.full(len(X), GOLDEN, dtype=np.uint64)
    for column in (X + 0.0).T:
        found = _mixed(found + np.uint64(GOLDEN) ^ np.ascontiguousarray(column).view(np.uint64))
    return found


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))
