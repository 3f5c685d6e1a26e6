"""The one progress bar of a command, from reading to the end, and how long each stage took."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from deltaloop._fit.progress import PENALTY, TRAINING, Stages

__all__ = ["Progress", "times_text"]

# The stages in their order: what each is called, and about which part of the whole time it takes.
# One that does not come is jumped over.
STAGES = {
    "reading": ("reading", 0.05),
    "preparing": ("preparing the columns", 0.05),
    PENALTY: ("choosing the penalty", 0.55),
    TRAINING: ("training", 0.3),
    "measuring": ("measuring", 0.03),
    "drawing": ("drawing", 0.02),
}
FORMAT = "{desc} |{bar}| {percentage:3.0f}% [{elapsed}{postfix}]"


class Progress(Stages):
    """Shows the stages of a training as one bar, on a terminal where there is tqdm."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar: Any = None
        else:
            options = {"total": 1.0, "disable": None, "dynamic_ncols": True, "leave": False}
            self._bar = tqdm(desc="reading", bar_format=FORMAT, **options)
        self._start, self._share, self._total, self._done = 0.0, 0.0, 1, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()
        if self._bar is not None:
            if kind is None:
                self._bar.update(1.0 - self._bar.n)
                self._bar.refresh()
            self._bar.close()

    def begin(self, name: str, total: int, done: int) -> None:
        shares = {stage: share for stage, (_, share) in STAGES.items()}
        before = list(STAGES).index(name)
        self._start, self._share = sum(list(shares.values())[:before]), shares[name]
        self._total, self._done = max(total, 1), done
        if self._bar is not None:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.set_description_str(STAGES[name][0], refresh=False)
            self._show()

    def update(self, n: int) -> None:
        self._done += n
        if self._bar is not None:
            self._show()

    def set_postfix_str(self, s: str, refresh: bool = True) -> None:
        if self._bar is not None:
            self._bar.set_postfix_str(s, refresh=False)

    def _show(self) -> None:
        """Move the bar, never backwards, and never beyond the end of the stage."""
        now = self._start + self._share * min(self._done / self._total, 1.0)
        if now > self._bar.n:
            self._bar.update(now - self._bar.n)
        if not self._done:
            self._bar.refresh()


def times_text(times: dict[str, float]) -> str:
    """Return how long the stages took."""
    parts = [f"{STAGES.get(name, (name,))[0]} {_seconds(time)}" for name, time in times.items()]
    return ", ".join(parts)


def _seconds(time: float) -> str:
    return f"{time:.1f} s" if time < 100 else f"{time:.0f} s"
