"""The examples of docs/reference/reinforcement-learning.md: short, and the same again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "reinforcement-learning.md"
EXAMPLES = dict(
    zip(
        ("DQN", "actor-critic"),
        re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S),
        strict=True,
    )
)


@pytest.mark.parametrize("name", ["DQN", "actor-critic"])
def test_example_computes_the_same_again(name):
    """Its first steps, twice."""
    gymnasium = pytest.importorskip("gymnasium")
    source = EXAMPLES[name].partition("env = gymnasium.make")[0]
    runs = []
    for _ in range(2):
        names: dict[str, object] = {}
        exec(source, names)
        env = gymnasium.make("CartPole-v1")
        if name == "DQN":
            net = names["learn_values"](env, steps=800)
        else:
            net = names["learn_actor"](env, updates=2)
        runs.append(net.parameters.tobytes())
    assert runs[0] == runs[1]


@pytest.mark.parametrize("name", ["DQN", "actor-critic"])
def test_example_is_short(name):
    assert len(EXAMPLES[name].splitlines()) < 60
