"""The other libraries of the pages of docs/doors agree with them, where the libraries are here.

`test_examples.py` runs the Python code of the pages. Here run their programs in C and R, and what
the tables of rates and penalties promise.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import typing
from pathlib import Path

import numpy as np
import pytest

import deltaloop as dl

DOORS = Path(__file__).resolve().parents[2] / "docs" / "doors"


def blocks(page: str, kind: str) -> list[str]:
    text = (DOORS / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)


def output(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_r(script: str, folder: Path) -> str:
    """What a script prints that begins with library(nnet)."""
    if shutil.which("Rscript") is None:
        pytest.skip("R is not here")
    (folder / "fit.R").write_text(script)
    command = ["Rscript", "fit.R"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    if "no package called" in done.stderr:
        pytest.skip("R has no nnet")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_r_prints_what_the_page_says(tmp_path):
    script = next(block for block in blocks("r-nnet", "r") if "nnet(matrix" in block)
    assert run_r(script, tmp_path) in blocks("r-nnet", "text")


def test_nnets_weights_give_nnets_values(tmp_path):
    """The decay of an entropy fit is half of l2, and counts the biases."""
    script = (
        "library(nnet)\n"
        "x <- matrix(seq(-1, 1, length.out = 21))\n"
        "y <- matrix(as.numeric(x > 0.2))\n"
        "fit <- nnet(x, y, size = 2, entropy = TRUE, Wts = sin(1:7), decay = 0.1, trace = FALSE)\n"
        'cat(sprintf("%.17g", c(fit$value, fit$wts, predict(fit, x))))\n'
    )
    numbers = np.array(run_r(script, tmp_path).split(), dtype=float)
    fit, wts, predicted = numbers[0], numbers[1:8], numbers[8:]
    names: dict[str, typing.Any] = {"np": np, "dl": dl}
    exec(next(b for b in blocks("r-nnet", "python") if "def from_nnet" in b), names)
    net = names["from_nnet"](wts, 1, 2, 1, loss="cross_entropy")
    x = np.linspace(-1, 1, 21).reshape(-1, 1)
    np.testing.assert_allclose(net.predict(x)[:, 0], predicted, rtol=1e-9)
    biases = sum((b**2).sum() for b in net.biases)
    cost = net.cost(x, (x > 0.2).astype(int).ravel(), l2=2 * 0.1)
    assert cost + 0.1 * biases == pytest.approx(fit, rel=1e-9)


@pytest.fixture(scope="module")
def fann(tmp_path_factory):
    """A folder, and what builds and runs a program of C with FANN in it."""
    folder = tmp_path_factory.mktemp("fann")
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not here")
    data = next(block for block in blocks("fann", "text") if block.startswith("4 2 1"))
    (folder / "xor.data").write_text(data)

    def run(program: str) -> str:
        (folder / "program.c").write_text(program)
        command = ["gcc", "program.c", "-o", "program", "-ldoublefann", "-lm"]
        built = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
        if built.returncode != 0:
            pytest.skip("FANN is not here")
        return output(["./program"], folder)

    return folder, run


def test_fann_prints_what_the_page_says(fann):
    folder, run = fann
    assert run(blocks("fann", "c")[0]) in blocks("fann", "text")
    names: dict[str, typing.Any] = {"np": np, "dl": dl}
    exec(next(b for b in blocks("fann", "python") if "def from_fann" in b), names)
    X = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    printed = output(["./program"], folder).split()
    net = names["from_fann"](folder / "xor.net")
    np.testing.assert_allclose(net.predict(X)[:, 0], np.array(printed, float), atol=1e-12)


@pytest.mark.parametrize(
    ("activation", "name", "steepness", "factor"),
    [("SIGMOID", "sigmoid", 1.0, 1.0), ("SIGMOID_SYMMETRIC", "tanh", 0.5, 1 / 8)],
)
@pytest.mark.parametrize("algorithm", ["INCREMENTAL", "BATCH"])
def test_fanns_steps_are_those_of_the_page(fann, activation, name, steepness, factor, algorithm):
    _, run = fann
    program = blocks("fann", "c")[0]
    program = program.replace("FANN_SIGMOID_SYMMETRIC", f"FANN_{activation}")
    program = program.replace(
        "    fann_train_on_data(ann, data, 1000, 0, 0.001f);",
        f"    fann_set_training_algorithm(ann, FANN_TRAIN_{algorithm});"
        "    fann_set_train_error_function(ann, FANN_ERRORFUNC_LINEAR);"
        "    fann_set_learning_rate(ann, 0.5f);"
        "    fann_train_on_data(ann, data, 10, 0, 0.0f);",
    )
    theirs = np.array(run(program).split(), dtype=float)
    w = steepness * np.sin(np.arange(1.0, 14.0))
    first, second = w[:9].reshape(3, 3), w[9:].reshape(1, 4)
    net = dl.Network.from_weights(
        [first[:, :-1].T, second[:, :-1].T],
        [first[:, -1], second[:, -1]],
        activation=name,
        output=name,
    )
    batch = 1 if algorithm == "INCREMENTAL" else None
    rate = 0.5 * factor / (1 if batch else 4)
    X = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    solver = dl.GradientDescent(rate, batch_size=batch, shuffle=False)
    net.fit(X, [-1, 1, 1, -1], solver=solver, max_epochs=10, tol=0)
    np.testing.assert_allclose(net.predict(X)[:, 0], theirs, atol=1e-7)


# ---- PyTorch: the table of rates and penalties ----

B, N, K = 16, 64, 2
F = B * K / 2  # what a mean over rows and outputs divides, beside the factor 1/2


def stepped(optimizer, prepare=None, schedule=None):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, K)
    ).double()
    net = dl.from_torch(module, seed=0)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 5))
    Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
    steps = optimizer(torch, module)
    rates = schedule(torch, steps) if schedule else None
    rows = N if isinstance(steps, torch.optim.Rprop) else B
    for _ in range(12):
        for i in range(0, N, rows):
            steps.zero_grad()
            a = module(torch.tensor(X[i : i + rows]))
            torch.nn.functional.mse_loss(a, torch.tensor(Y[i : i + rows])).backward()
            if prepare:
                prepare(torch, module)
            steps.step()
        if rates:
            rates.step()
    return net, X, Y, module(torch.tensor(X)).detach().numpy()


def weights_alone(torch, module):
    groups = [{"params": [module[0].weight, module[2].weight], "weight_decay": 0.05}]
    groups.append({"params": [module[0].bias, module[2].bias]})
    return torch.optim.SGD(groups, lr=0.1)


ALIKE = {
    "momentum": (
        lambda torch, m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9),
        dl.GradientDescent(0.1 / F, momentum=0.9, batch_size=B, shuffle=False),
    ),
    "nesterov": (
        lambda torch, m: torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True),
        dl.GradientDescent(0.1 / F, momentum=0.9, nesterov=True, batch_size=B, shuffle=False),
    ),
    "Adam": (
        lambda torch, m: torch.optim.Adam(m.parameters(), lr=0.01),
        dl.Adam(0.01, epsilon=1e-8 * F, batch_size=B, shuffle=False),
    ),
    "AdamW": (
        lambda torch, m: torch.optim.AdamW(m.parameters(), lr=0.01),
        dl.AdamW(0.01, epsilon=1e-8 * F, batch_size=B, shuffle=False),
    ),
    "Rprop": (
        lambda torch, m: torch.optim.Rprop(m.parameters(), lr=0.01),
        dl.Rprop(variant="minus", delta_0=0.01, delta_min=1e-6),
    ),
    "clip_value": (
        lambda torch, m: torch.optim.SGD(m.parameters(), lr=0.1),
        dl.GradientDescent(0.1 / F, clip_value=0.02 * F, batch_size=B, shuffle=False),
        lambda torch, m: torch.nn.utils.clip_grad_value_(m.parameters(), 0.02),
    ),
    "clip_norm": (
        lambda torch, m: torch.optim.SGD(m.parameters(), lr=0.1),
        dl.GradientDescent(0.1 / F, clip_norm=0.1 * F, batch_size=B, shuffle=False),
        lambda torch, m: torch.nn.utils.clip_grad_norm_(m.parameters(), 0.1),
    ),
    "StepLR": (
        lambda torch, m: torch.optim.Adam(m.parameters(), lr=0.01),
        dl.Adam(
            dl.schedules.Step(0.01, epochs=5, gamma=0.5),
            epsilon=1e-8 * F,
            batch_size=B,
            shuffle=False,
        ),
        None,
        lambda torch, steps: torch.optim.lr_scheduler.StepLR(steps, 5, gamma=0.5),
    ),
    "ExponentialLR": (
        lambda torch, m: torch.optim.Adam(m.parameters(), lr=0.01),
        dl.Adam(dl.schedules.Exponential(0.01, 0.9), epsilon=1e-8 * F, batch_size=B, shuffle=False),
        None,
        lambda torch, steps: torch.optim.lr_scheduler.ExponentialLR(steps, 0.9),
    ),
    "CosineAnnealingLR": (
        lambda torch, m: torch.optim.Adam(m.parameters(), lr=0.01),
        dl.Adam(
            dl.schedules.Cosine(0.01, epochs=12), epsilon=1e-8 * F, batch_size=B, shuffle=False
        ),
        None,
        lambda torch, steps: torch.optim.lr_scheduler.CosineAnnealingLR(steps, 12),
    ),
    "weight_decay": (weights_alone, dl.GradientDescent(0.1 / F, batch_size=B, shuffle=False)),
}


@pytest.mark.parametrize("name", ALIKE)
def test_pytorch_takes_the_same_steps(name):
    optimizer, solver, *rest = ALIKE[name]
    net, X, Y, theirs = stepped(optimizer, *rest)
    l2 = 0.05 * N * K / 2 if name == "weight_decay" else 0.0
    net.fit(X, Y, solver=solver, l2=l2, max_epochs=12, tol=0)
    # PyTorch adds 1e-6 to the norm that it divides by.
    np.testing.assert_allclose(net.predict(X), theirs, atol=1e-5 if name == "clip_norm" else 1e-10)


# ---- MATLAB: the formulas of its documentation, in NumPy ----


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rates_of_traingd_and_traingdm(momentum):
    """dX = mc dXprev + lr (1 - mc) dperf/dX, where perf has the units of the targets."""
    x = np.linspace(1900.0, 2000.0, 21).reshape(-1, 1)
    t = 50.0 + 30.0 * np.sin(x / 20)
    net = dl.Network([1, 4, 1], activation="tanh", output="identity", seed=0)
    (w1, w2), (b1, b2) = ([a.copy() for a in arrays] for arrays in (net.weights, net.biases))
    parameters = [w1, b1, w2, b2]
    steps = [np.zeros_like(a) for a in parameters]
    x_offset, x_gain = x.min(), 2 / np.ptp(x)
    t_offset, t_gain = t.min(), 2 / np.ptp(t)
    p = (x - x_offset) * x_gain - 1
    lr, n = 1e-4, t.size
    for _ in range(20):
        a = np.tanh(p @ w1 + b1)
        y = (a @ w2 + b2 + 1) / t_gain + t_offset
        dy = 2 * (y - t) / n / t_gain  # of mse, by the outputs of the last layer
        dz = (dy @ w2.T) * (1 - a * a)
        slopes = [p.T @ dz, dz.sum(0), a.T @ dy, dy.sum(0)]
        for array, step, slope in zip(parameters, steps, slopes, strict=True):
            step *= momentum
            step -= lr * (1 - momentum) * slope
            array += step
    s = np.ptp(t) / 2
    solver = dl.GradientDescent(lr * (1 - momentum) * 2 * s**2 / n, momentum=momentum)
    result = net.fit(x, t, scale="minmax", solver=solver, max_epochs=20, tol=0)
    for ours, theirs in zip((*net.weights, *net.biases), (w1, w2, b1, b2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    mse = ((net.predict(x) - t) ** 2).mean()
    assert result.cost == pytest.approx(mse * n / (2 * s**2), rel=1e-9)
