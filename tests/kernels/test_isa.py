"""The same bits on every variant of the kernels with FMA, in processes of their own."""

import pytest

import deltaloop as dl
from tests.helpers.processes import run_python

FMA = [name for name in dl.runtime()["isas"] if name != "base"]

SCRIPT = """
import hashlib
import numpy as np
import deltaloop as dl

rng = np.random.default_rng(5)
digest = hashlib.sha256()
cases = [
    ([3, 5, 2], dict(activation="tanh"), 50, None),
    ([10, 32, 1], dict(loss="cross_entropy"), 5000, None),
    ([17, 33, 19, 10], dict(activation="relu", loss="cross_entropy"), 101, 7),
    ([4, 9, 9, 9, 3], dict(activation="sigmoid", loss="binary_cross_entropy"), 64, 1),
    ([6, 21, 5], dict(activation="tanh", output="softmax", init="he_normal"), 77, 32),
]
for layers, options, n, batch in cases:
    X = rng.normal(size=(n, layers[0]))
    Y = rng.random((n, layers[-1]))
    if options.get("loss") == "cross_entropy" and layers[-1] > 1:
        Y = rng.integers(layers[-1], size=n)
    net = dl.Network(layers, seed=3, **options)
    solver = dl.GradientDescent(1e-3, momentum=0.5, nesterov=True, batch_size=batch)
    result = net.fit(X, Y, solver=solver, max_epochs=5, tol=0)
    for array in (net.parameters, net.predict(X), result.cost_history, [result.gradient_norm]):
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
print(dl.runtime()["isa"], digest.hexdigest())
"""


def run(isa, monkeypatch):
    monkeypatch.setenv("DELTALOOP_ISA", isa)
    name, digest = run_python(SCRIPT, timeout=300).split()
    assert name == isa
    return digest


@pytest.mark.skipif(len(FMA) < 2, reason="this machine executes fewer than two variants with FMA")
def test_variants_with_fma_give_the_same_bits(monkeypatch):
    digests = {isa: run(isa, monkeypatch) for isa in FMA}
    assert len(set(digests.values())) == 1, digests


def test_two_processes_give_the_same_bits(monkeypatch):
    isa = dl.runtime()["isa"]
    assert run(isa, monkeypatch) == run(isa, monkeypatch)
