"""Every method of training starts from the same cost with the right derivatives, and tables hold.

No time is asserted: training.py measures.
"""

from __future__ import annotations

import bounds
import choice
import figures
import goals
import heldout
import methods
import numpy as np
import problems
import pytest
import table
import training
import update
from choice_tasks import CONFIRMATION, TUNING
from methods import Hit

import deltaloop as dl


@pytest.mark.parametrize("name", ["sinc", *problems.PROBLEMS])
def test_problems(name) -> None:
    """The start's cost is finite and above the goal, which rounding alone cannot explain."""
    if name.startswith(("CANCER", "DIABETES")):
        pytest.importorskip("sklearn")
    problem = problems.sinc() if name == "sinc" else problems.PROBLEMS[name]()
    assert name == "sinc" or name.split()[-1] == "-".join(map(str, problem.layers))
    assert problem.X.shape == (len(problem.Y), problem.layers[0])
    cost = problem.network(0).cost(problem.X, problem.Y)
    assert problem.cost(problem.goals[0]) < cost < 1e4


def test_derivatives_of_the_peers() -> None:
    problem = problems.sinc()
    net = problem.network(3)
    cost, gradient = net.gradient(problem.X, problem.Y)
    found = methods.objective(problem, net.parameters)
    assert found[0] == pytest.approx(cost, rel=1e-12)
    np.testing.assert_allclose(found[1], gradient, rtol=1e-9, atol=1e-9)
    e = methods.residuals(problem, net.parameters)
    assert 0.5 * e @ e == pytest.approx(cost, rel=1e-12)
    J = methods.jacobian(problem, net.parameters, np.ones((len(e), len(gradient))))
    np.testing.assert_allclose(J, net.jacobian(problem.X)[:, 0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", methods.PEERS, ids=lambda method: method.name)
def test_peers(method) -> None:
    """A few milliseconds suffice for the check of the first cost, which raises SystemExit."""
    if not method.present():
        pytest.skip(f"{method.name} is not installed")
    problem = problems.sinc()
    assert method.suits(problem)
    assert not method.suits(problems.sine().__class__(**{**vars(problem), "output": "tanh"}))
    hits = method.run(problem, 0, 0.02)
    assert len(hits) == 4
    assert method.iteration(problem, 0, 3) > 0


def test_own_runs() -> None:
    """A run that is given up has no more than its time; one that succeeds has reached the goal."""
    problem = problems.sine()
    lm = next(m for m in methods.SOLVERS if m.name == "LM")
    lm.warm(problem, 0.05)
    (hit,) = lm.run(problem, 0, 0.05)
    assert hit.reached
    assert hit.epochs < 50
    slow = next(m for m in methods.SOLVERS if m.name == "GradientDescent")
    hard = problems.Problem(**{**vars(problem), "goals": (1e-12, 1e-13)})
    slow.warm(hard, 0.05)
    hits = slow.run(hard, 0, 0.05)
    assert hits[0] == hits[1]
    assert not hits[0].reached
    assert 0.05 < hits[0].seconds < 1.0
    curve = lm.curve(problem, 0, 0.01)
    assert len(curve) > 3


def test_expected_time() -> None:
    hits = [Hit(0.001, 3, True), Hit(0.002, 5, True), Hit(0.006, 9, False)]
    assert goals.expected(hits) == pytest.approx(0.0045)
    assert goals.cell(hits) == "4.50 ms, 4 (2)"
    assert goals.cell(hits[:2], epochs=False) == "1.50 ms"
    assert goals.cell(hits[2:]) == "never"


@pytest.mark.parametrize("task", TUNING + CONFIRMATION, ids=lambda t: t.name)
def test_tasks(task) -> None:
    """Rows are held out, columns standardised; a network of one epoch predicts at all."""
    if task.package:
        pytest.importorskip(task.package)
    X, y, held, expected = next(task.splits(0))
    assert abs(X.mean()) < 1e-9
    assert len(X) == len(y)
    assert len(held) == len(expected)
    net = task.network(X, y, 0)
    net.fit(X, y, solver=dl.LBFGS(), max_epochs=1)
    predicted = net.classify(held) if task.kind == "class" else net.predict(held)
    assert task.score([(predicted, expected)]) < 1


def test_choice(monkeypatch) -> None:
    """Both sides of a small task; the text says what was chosen, and the largest loss."""
    pytest.importorskip("sklearn")
    assert len(TUNING) + len(CONFIRMATION) >= 30
    monkeypatch.setattr(choice, "SEEDS", 1)
    found = {"wine": choice.tuning_rows()["wine"]()}
    text = choice.text(found)
    assert "| wine | 133 x 13-10-3, tanh | LBFGS, l2=" in text
    assert "The largest loss against scikit-learn is 0.0" in text


def test_depth(monkeypatch) -> None:
    """Eight layers without skip connections learn; those with them wait until there are some."""
    monkeypatch.setattr(heldout, "DEPTH_SEEDS", 1)
    assert len(heldout.depth_rows()) in (0, 6)
    ((_, _, quality),) = heldout.deep(8, False)
    assert quality > 0.9
    assert "| 8 layers |" in heldout.depth_text({"8 layers": [(0.1, 0.2, quality)]})


def test_bounds(monkeypatch) -> None:
    """Costs at equal times: nothing before the first epoch, and no more than all of the time."""
    points = [(1.0, 9.0), (2.0, 4.0)]
    assert [bounds.at(points, t) for t in (0.5, 1.0, 1.5, 3.0)] == [float("inf"), 9.0, 9.0, 4.0]
    monkeypatch.setattr(bounds, "SEEDS", 1)
    seconds, _, _, *costs = bounds.rows()["Friedman, noise 0, 200 rows, 10-5-1"]()
    assert 0 < seconds < bounds.MOST
    assert all(0 < cost < 0.5 for cost in costs)


def test_tables() -> None:
    """Of made-up results: each row is there."""
    entry = {"cap": 1.0, "runs": [[[0.001 * i, 3, i < 3]] * 4 for i in (1, 2, 3)]}
    found = dict.fromkeys(goals.sinc_rows(), entry)
    text = goals.sinc_text(found)
    assert text.count("| 3.00 ms, 3 (2) | 3.00 ms, 3 (2) |") == len(found)
    assert "**Nielsen, D = I, the default**" in text
    text = goals.problem_text(dict.fromkeys(goals.problem_rows(), entry))
    assert all(text.count(f"\n| {name} |") == 2 for name in problems.PROBLEMS)
    assert text.count("**3.00 ms (2)**") == len(problems.PROBLEMS) * len(methods.SOLVERS)


def test_figures(tmp_path) -> None:
    """Small, and the same bytes each time."""
    pytest.importorskip("matplotlib")
    entry = {"cap": 1.0, "runs": [[[0.001 * i, 3, i < 30]] for i in range(1, 31)]}
    curves = [[[1e-3, 0.1], [1e-2, 0.01], [1.0, 0.001]]] * 2
    found = {"problems": dict.fromkeys(goals.problem_rows(), entry)}
    found["curves"] = dict.fromkeys(goals.curve_rows(), curves)
    figures.draw(tmp_path, found)
    names = {"cost-over-time.svg", "expected-time.svg", "success.svg"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert all((tmp_path / name).stat().st_size < 60_000 for name in names)
    figures.cost_over_time(tmp_path / "again.svg", found["curves"])
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "cost-over-time.svg").read_bytes()


def test_update_text() -> None:
    found = {"update": [["avx2", "4810", "0.5", "0.2"]], "steps": [["Adam", 0.02]]}
    assert "| avx2 | 4,810 | 0.50 ns | 112 | 0.20 ns | 280 |" in update.text(found)


def test_page_has_all_markers() -> None:
    page = training.PAGE.read_text(encoding="utf-8")
    names = [name for name, each in training.TABLES.items() if each.page and each.text]
    assert all(page.count(f"<!-- {name} -->") == 1 for name in [*names, "machine"])
    assert page.count(table.END) == len(names) + 1
