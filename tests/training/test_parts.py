"""Rows that ``validation`` sets aside: read where they lie or copied, the bits are the same."""

import sys

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._fit import run as _run
from tests.helpers.compare import same
from tests.helpers.processes import run_python

N = 90
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(N, 4))
FORMS = {
    "C": VALUES,
    "Fortran": np.asfortranarray(VALUES),
    "strided": np.repeat(np.repeat(VALUES, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": VALUES[::-1],
    "float32": VALUES.astype(np.float32),
    "int16": (VALUES * 100).astype(np.int16),
}
SOLVERS = {
    "gd": dl.GradientDescent(1e-4, momentum=0.5),
    "online": dl.GradientDescent(1e-3, batch_size=1, shuffle=False),
    "adam": dl.Adam(0.01, batch_size=16),
    "quickprop": dl.Quickprop(),
    "rprop": dl.Rprop(),
    "lbfgs": dl.LBFGS(),
    "scg": dl.ScaledConjugateGradient(),
    "lm": dl.LevenbergMarquardt(),
    "geodesic": dl.LevenbergMarquardt(geodesic=True),
    "bayes": dl.BayesianRegularization(),
}


def both(monkeypatch, train):
    """What is trained by rows and by copies."""
    results = []
    for most in (-1, sys.maxsize):
        monkeypatch.setattr(_run, "COPIED", most)
        results.append(train())
    return results


def assert_same(one, other):
    assert same(one.state["parameters"], other.state["parameters"])
    for name in ("cost", "validation_cost", "gradient_norm", "learning_rate"):
        assert same(getattr(one.history, name), getattr(other.history, name))
    assert (one.cost, one.validation_cost) == (other.cost, other.validation_cost)
    assert (one.n_instances, one.n_validation) == (other.n_instances, other.n_validation)
    assert (one.best_epoch, one.message) == (other.best_epoch, other.message)


@pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")
@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("name", list(SOLVERS))
def test_solvers_and_forms(monkeypatch, name, form):
    y = np.sin(VALUES[:, 0])
    for layers, options in [((4, 3, 1), {}), ((4, 20, 1), {"n_threads": 2})]:

        def train(layers=layers, options=options):
            net = dl.Network(layers, activation="tanh", output="identity", seed=1)
            return net.fit(
                FORMS[form], y, solver=SOLVERS[name], max_epochs=6, tol=0, validation=0.3,
                patience=4, seed=5, **options,
            )  # fmt: skip

        assert_same(*both(monkeypatch, train))


@pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")
@pytest.mark.parametrize("options", [
    {"class_weight": "balanced"},
    {"sample_weight": np.arange(N) % 3},
    {"sample_weight": np.arange(N) % 5 + 0.5, "class_weight": {0: 2.0}},
    {"dropout": 0.3},
    {"l2": 0.1, "scale": "standard"},
    {"scale": "minmax", "sample_weight": np.arange(N) % 4},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", ["classes", "probabilities", "values"])
def test_options(monkeypatch, kind, options):
    labels = (VALUES[:, 0] > 0).astype(np.uint8) + (VALUES[:, 1] > 0)
    y = {"classes": labels, "probabilities": np.eye(3)[labels], "values": VALUES[:, 1:]}[kind]
    if kind != "classes" and "class_weight" in options:
        return
    output = {"values": "identity"}.get(kind, "softmax")
    loss = {"values": "squared_error"}.get(kind, "cross_entropy")

    def train():
        net = dl.Network((4, 5, 3), activation="tanh", output=output, loss=loss, seed=1)
        solver = dl.Adam(0.01, batch_size=16)
        first = net.fit(
            VALUES, y, solver=solver, max_epochs=3, tol=0, validation=0.25, seed=2, **options
        )
        return net.fit(
            VALUES, y, solver=solver, max_epochs=6, tol=0, validation=0.25, resume=first.state,
            **{key: value for key, value in options.items() if key != "scale"},
        )  # fmt: skip

    assert_same(*both(monkeypatch, train))


def test_stages_and_a_callback(monkeypatch):
    y = np.sin(VALUES[:, 0])
    seen = []

    def train():
        net = dl.Network((4, 3, 1), activation="tanh", output="identity", seed=1)
        return net.fit(
            VALUES, y, solver=[dl.Adam(0.01, batch_size=8), dl.LBFGS(), dl.LevenbergMarquardt()],
            max_epochs=4, tol=0, validation=0.5, seed=0,
            callback=lambda info: seen.append(info.validation_cost),
        )  # fmt: skip

    assert_same(*both(monkeypatch, train))
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


MEMORY = """
import sys
import numpy as np
import deltaloop as dl

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1024

X = np.memmap(sys.argv[1], dtype=np.float64, mode="r").reshape(-1, 32)
y = X[:, :1]
most = [0.0]
def watch(info):
    most[0] = max(most[0], peak())
def fit(x, y, **options):
    net = dl.Network([32, 8, 1], activation="tanh", output="identity", seed=0)
    for solver in (dl.LBFGS(), dl.Adam(0.01, batch_size=256)):
        net.fit(x, y, solver=solver, max_epochs=1, callback=watch, n_threads=1, **options)
fit(X[:1000], y[:1000])
before, most[0] = peak(), 0.0
fit(X, y, validation=0.1)
print(most[0] - before, X.nbytes / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_fraction_copies_no_data(tmp_path):
    """64 MB that are mapped: what a fit takes of its own are numbers of rows, and some chunks."""
    path = tmp_path / "data"
    np.random.default_rng(0).normal(size=(2**18, 32)).tofile(path)
    grown, size = map(float, run_python(MEMORY, str(path)).split())
    assert size == 64
    assert grown < 16
