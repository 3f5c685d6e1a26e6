"""Who follows a fit learns of its stages: trials of penalties, epochs, and how long they take."""

from __future__ import annotations

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._fit.progress import Stages


class Followed(Stages):
    def __init__(self):
        super().__init__()
        self.seen, self.texts = [], []

    def begin(self, name, total, done):
        self.seen.append([name, total, done])

    def update(self, n):
        self.seen[-1][2] += n

    def set_postfix_str(self, s, refresh=True):
        self.texts.append(s)


def data(n=60):
    X = np.random.default_rng(0).normal(size=(n, 3))
    return X, X @ [1.0, -2.0, 0.5] + 0.1 * X[:, 0] ** 2


@pytest.mark.parametrize("n", [20, 60, 300])
def test_the_search_of_the_penalty_is_part_of_it(n):
    stages = Followed()
    net = dl.Network([3, 4, 1], activation="tanh", output="identity", seed=0)
    result = net.fit(*data(n), progress=stages)
    stages.end()
    (first, most, tried), (second, epochs, done) = stages.seen
    assert (first, second) == ("penalty", "training") == tuple(stages.times)
    assert 0 < tried <= most
    assert (done, epochs >= done) == (result.epochs, True)
    assert all(seconds > 0 for seconds in stages.times.values())
    assert sum(stages.times.values()) < result.seconds + 1.0
    assert stages.texts[-1].startswith("cost ")


def test_no_search_no_stage():
    stages = Followed()
    net = dl.Network([3, 4, 1], activation="tanh", output="identity", seed=0)
    net.fit(*data(), solver=dl.LBFGS(), max_epochs=3, progress=stages)
    assert [name for name, *_ in stages.seen] == ["training"]


def test_changes_no_bit():
    nets = [dl.Network([3, 4, 1], activation="tanh", output="identity", seed=0) for _ in range(2)]
    nets[0].fit(*data(), progress=Followed())
    nets[1].fit(*data())
    assert nets[0].parameters.tobytes() == nets[1].parameters.tobytes()


def test_a_stage_that_comes_back():
    stages = Stages()
    for name in ("a", "b", "a"):
        stages.stage(name)
    stages.end()
    stages.end()
    assert list(stages.times) == ["a", "b"]


def test_bars_of_trials_and_of_epochs(monkeypatch):
    tqdm = pytest.importorskip("tqdm")
    bars = []

    class Bar:
        def __init__(self, **options):
            bars.append(options)

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def update(self, n):
            pass

        set_postfix_str = update

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    monkeypatch.setattr(Bar, "set_postfix_str", lambda bar, text, refresh: None)
    net = dl.Network([3, 4, 1], activation="tanh", output="identity", seed=0)
    net.fit(*data(), progress=True)
    assert [bar["unit"] for bar in bars] == ["trial", "epoch"]
