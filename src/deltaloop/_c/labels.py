"""Names of the caller's in comments: classes and columns."""

from __future__ import annotations

import json
from collections.abc import Sequence

from deltaloop._c.texts import literal


def classes_note(classes: Sequence[object], n_outputs: int) -> str:
    """Return what the outputs of a classifier are."""
    names = [shown(label) for label in classes]
    if n_outputs == 1:
        return f"The output is the probability of {names[-1]}, not {names[0]}."
    lines = ["The outputs are the probabilities of"]
    return "\n".join(lines + [f"  {i}: {label}" for i, label in enumerate(names)])


def shown(text: object) -> str:
    """Return a name for a comment of C, which no template touches."""
    return literal(quoted(text))


def quoted(text: object) -> str:
    """Return a name in quotes: ASCII, and without an end of comment."""
    name = json.dumps(text if isinstance(text, str) else str(text))
    return name.replace("*/", "*\\/").replace("/*", "/\\*")
