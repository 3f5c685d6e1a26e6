"""The progress bar of a fit, and who follows its stages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

__all__ = ["PENALTY", "TRAINING", "ProgressBar", "Stages", "progress_bar"]

# The stages of a fit: the search of the penalty, whose steps are trials, and the epochs.
PENALTY, TRAINING = "penalty", "training"


class ProgressBar(Protocol):
    """The part of tqdm that is used."""

    def update(self, n: int) -> Any:
        """Advance by n epochs."""

    def set_postfix_str(self, s: str, refresh: bool = ...) -> Any:
        """Show a text behind the bar."""


@contextmanager
def progress_bar(
    wanted: bool | Stages, total: int, done: int, unit: str = "epoch", name: str = TRAINING
) -> Iterator[ProgressBar | None]:
    """Provide a tqdm bar on standard error, or None; tqdm itself is silent off a terminal.

    In its place who follows the stages of the fit, who is told that one begins.
    """
    if isinstance(wanted, Stages):
        wanted.stage(name, total, done)
        yield wanted
        return
    if not wanted:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'deltaloop[cli]'") from None
    with tqdm(total=total, initial=done, unit=unit, disable=None, dynamic_ncols=True) as bar:
        yield bar


class Stages:
    """Follows a fit from stage to stage, and measures how long each takes.

    ``Network.fit`` takes one in the place of its flag `progress`; those who show something
    themselves override `begin`, `update` and `set_postfix_str`.

    Attributes
    ----------
    times : dict of str to float
        Seconds of each stage that is over, in the order in which they came.
    """

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self._name = ""
        self._began = 0.0

    def stage(self, name: str, total: int = 1, done: int = 0) -> None:
        """End the last stage, and begin one of at most `total` steps, some of them done."""
        self.end()
        self._name, self._began = name, time.perf_counter()
        self.begin(name, total, done)

    def end(self) -> None:
        """End the last stage. No stage comes back: the times of one that does are added."""
        if self._name:
            seconds = time.perf_counter() - self._began
            self.times[self._name] = self.times.get(self._name, 0.0) + seconds
            self._name = ""

    def begin(self, name: str, total: int, done: int) -> None:
        """Show that a stage begins."""

    def update(self, n: int) -> None:
        """Advance by n steps."""

    def set_postfix_str(self, s: str, refresh: bool = True) -> None:
        """Show a text."""
