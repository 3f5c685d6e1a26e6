"""Every contender computes the same in every cell, and the clock, floors and tables work.

pytest-benchmark times each of them roughly and asserts nothing; the figures that are published come
from measure.py, which alternates between the contenders and lets the CPUs settle.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cells
import environment
import floors
import machine
import measure
import pytest
import registry
import table
import timing
from contender import Blas, Contender


@lru_cache(maxsize=1)
def expected(cell: cells.Cell):
    return measure.expected(cells.task(cell))


def one_of_each_name() -> list[Contender]:
    everybody = registry.contenders(environment.cpus())
    return list({(c.name, c.variant): c for c in everybody[::-1]}.values())[::-1]


@pytest.mark.parametrize(
    ("cell", "contender"),
    [
        pytest.param(cell, contender, id=f"{cell.name}, {contender.label}")
        for cell in cells.CELLS
        for contender in one_of_each_name()
        if contender.suits(cell)
    ],
)
@pytest.mark.benchmark(min_time=1e-4, max_time=0.1, min_rounds=2, disable_gc=True)
def test_same_results(benchmark, cell, contender) -> None:
    if not contender.present():
        pytest.skip(f"{contender.name} is not installed")
    session = contender.session()
    difference = measure.distance(session.begin(cells.task(cell)), expected(cell))
    assert difference <= measure.TOLERANCE, f"{contender.label} differs by {difference:.1e}"
    benchmark.group = f"{cell.name}: {cell.steps} x {cell.unit}"
    benchmark(getattr(session, "run", session.turn), 1)
    session.end()


def test_an_own_rate_would_be_noticed() -> None:
    cell = next(cell for cell in cells.CELLS if cell.name == "gd-xor")
    faster = replace(cell, learning_rate=1.001 * cell.learning_rate)
    checked, _ = timing.prepare(registry.NumpyScript(1), cells.task(faster))
    assert measure.distance(checked(), expected(cell)) > measure.TOLERANCE


@pytest.mark.parametrize("name", ["lat-2-2-1", "gd-xor", "step-4-64-64-2", "adam-10-64-1-b64"])
def test_measuring(name, monkeypatch) -> None:
    monkeypatch.setattr(timing, "PER_TURN", 1e-3)
    monkeypatch.setattr(machine, "TIMINGS", 1)
    cell = next(cell for cell in cells.CELLS if cell.name == name)
    contenders = [registry.Deltaloop(1), registry.NumpyScript(Blas.all_threads)]
    found = measure.measure_cell(cell, contenders, turns=1)
    rates = machine.rates(1)
    floor = floors.floor(cell, rates) if rates else None
    assert 0.0 < found["deltaloop"]["seconds"] < 1.0
    assert floor is None or floor > 0.0
    assert "deltaloop" in measure.report(cell, found, floor, 0.0)
    machine_of = {"settings": "none", "its instruction set": "base"}
    run = table.Run(machine_of, {cell.name: {"contenders": found, "floor": floor}}, None, "Zen 9")
    assert "Zen 9" in table.short(run)
    assert cell.name in table.full(run)


def test_floating_point_operations() -> None:
    by_name = {cell.name: cell for cell in cells.CELLS}
    forward = 2 * (2 * 2 + 2 * 1)
    assert floors.flop(by_name["lat-2-2-1"]) == forward
    # Forward, gradient, and delta of the last layer alone.
    assert floors.flop(by_name["gd-xor"]) == 4 * (2 * forward + 2 * 2 * 1)
    assert floors.flop(by_name["on-2-2-1"]) == 2 * forward + 2 * 2 * 1
    adam = by_name["adam-10-64-1-b64"]
    assert floors.flop(adam) == 64 * (3 * 2 * (10 * 64 + 64) - 2 * 10 * 64)
    P = 10 * 20 + 20 + 20 + 1
    products = 2 * (10 * 20 + 20)
    assert floors.flop(by_name["lm-10-20-1"]) == 1000 * (2 * products + P * (P + 1)) + P**3 // 3
