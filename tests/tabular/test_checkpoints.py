"""A fit of a table that stops and goes on from its file: the same model and the same report."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("narwhals")

import deltaloop as dl
from deltaloop.tabular import TabularModel

RNG = np.random.default_rng(9)
X = RNG.normal(size=200)
FRAME = {
    "x": X.tolist(),
    "c": [["a", "b", None][i % 3] for i in range(200)],
    "y": (X + np.arange(200) % 3 + RNG.normal(size=200)).tolist(),
}
CASES = {
    "chosen": {},
    "solver": {"solver": dl.Adam(0.01, batch_size=16), "max_epochs": 12, "validation": 0.2},
}


class StopError(Exception):
    """What goes wrong."""


@pytest.mark.parametrize("name", CASES)
def test_the_same_call_goes_on(name, tmp_path):
    path = tmp_path / "run.safetensors"
    whole = TabularModel(hidden=4, seed=1).fit(FRAME, "y", **CASES[name])
    end = max(1, whole.result.epochs // 2)

    def stop(info):
        if info.epoch == end:
            raise StopError

    kept = CASES[name] | {"checkpoint": path, "resume": path, "checkpoint_every": 0}
    with pytest.raises(StopError):
        TabularModel(hidden=4, seed=1).fit(FRAME, "y", callback=stop, **kept)
    assert path.exists()
    for _ in range(2):
        model = TabularModel(hidden=4, seed=1).fit(FRAME, "y", **kept)
        assert model.network.parameters.tobytes() == whole.network.parameters.tobytes()
        assert model.result.choice == whole.result.choice
        same = {"seconds", "times", "date"}
        assert model.report.keys() == whole.report.keys()
        for key in model.report.keys() - same:
            assert model.report[key] == whole.report[key], key
