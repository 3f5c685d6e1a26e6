"""A source that has been surveyed, with windows over it: what a call works on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop import _core
from deltaloop._arguments import arrays as _arrays
from deltaloop._arguments import problem as _problem
from deltaloop._blocks import kinds as _kinds
from deltaloop._blocks.block import Array
from deltaloop._blocks.survey import survey
from deltaloop._blocks.windows import Windows


class Part:
    """The instances of a source, or their targets, as an array whose rows are gone through."""

    def __init__(self, opened: Opened, what: str) -> None:
        self._opened, self._what = opened, what
        self.shape = (len(opened.x), *getattr(opened.windows, what).shape[1:])

    def parts(self, weighted: bool) -> Iterator[tuple[Array, NDArray[np.float64] | None]]:
        """Yield some rows after the others, and their weights."""
        windows, row = self._opened.windows, 0
        while row < len(self._opened.x):
            first, end, at = windows.read(row)
            places = slice(at, at + end - first)
            weights = windows.weights[places] if weighted and windows.weights is not None else None
            yield getattr(windows, self._what)[places], weights
            row = end


class Opened:
    """Instances, targets and weights as C takes them, from a source; close it."""

    def __init__(
        self,
        kind: _kinds.Kind,
        network: _core.Core,
        X: object,
        Y: object,
        *,
        sample_weight: object = None,
        class_weight: object = None,
        name: str = "X",
        y_name: str = "Y",
        skip: bool = False,
        check_finite: bool = True,
        threads: int = 1,
        unit: int = 1,
        memory: int | None = None,
    ) -> None:
        source = _kinds.reader(kind, X, Y, sample_weight)
        if source.once:
            raise ValueError(
                f"{name}, a {type(X).__name__}, can be read only once, and a fit reads it several "
                "times; give what can be iterated over again, such as a list or an object whose "
                "__iter__ begins anew"
            )
        given = None
        if sample_weight is not None and not isinstance(sample_weight, str):
            given = _arrays.numbers("sample_weight", sample_weight)
            if given.ndim != 1:
                raise ValueError(
                    f"sample_weight must have shape (n,), a weight for each instance, got "
                    f"{given.shape}"
                )
        self.found = survey(
            source,
            network,
            name=name,
            y_name=y_name,
            weights=given,
            skip=skip,
            check_finite=check_finite,
            classes=class_weight is not None,
        )
        by_class = None
        if class_weight is not None and self.found.counts is not None:
            by_class = _problem.weights_of_classes(class_weight, self.found.counts)
            if not self.found.weighted and not (by_class * self.found.counts).any():
                raise ValueError("class_weight leaves no instance with a positive weight")
        self.windows = Windows(
            source,
            self.found,
            m0=network.layers[0],
            weights=given,
            by_class=by_class,
            threads=threads,
            unit=unit,
            memory=memory or getattr(X, "_window_bytes", None),
            name=name,
        )
        self.x, self.y = self.windows.blocks, self.windows.y
        self.labels, self.missing = self.found.labels, self.found.missing
        self.weights = self.windows.weights

    @property
    def sample(self) -> tuple[Any, ...]:
        """Some rows, spread evenly: instances, targets, and weights or None."""
        x, y, s = self.found.sample[0]
        if self.windows.by_class is not None:
            own = self.windows.by_class[y.reshape(-1).astype(np.intp)]
            s = own if s is None else s * own
        return x, y, s

    def parts(self) -> tuple[Part, Part]:
        """Return instances and targets to be gone through."""
        return Part(self, "x"), Part(self, "y")

    def close(self, error: BaseException | type[BaseException] | None = None) -> None:
        """End its reading thread; `error` is what ends the caller."""
        self.windows.close(error)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(kind)
