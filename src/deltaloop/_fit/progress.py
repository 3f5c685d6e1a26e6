"""The progress bar of a fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class ProgressBar(Protocol):
    """The part of tqdm that is used."""

    def update(self, n: int) -> Any:
        """Advance by n epochs."""

    def set_postfix_str(self, s: str, refresh: bool = ...) -> Any:
        """Show a text behind the bar."""


@contextmanager
def progress_bar(wanted: bool, total: int, done: int) -> Iterator[ProgressBar | None]:
    """Provide a tqdm bar on standard error, or None; tqdm itself is silent off a terminal."""
    if not wanted:
        yield None
        return
    try:
        from tqdm import tqdm
    except ImportError:
        raise ImportError("progress=True needs tqdm: pip install 'deltaloop[cli]'") from None
    with tqdm(total=total, initial=done, unit="epoch", disable=None, dynamic_ncols=True) as bar:
        yield bar
