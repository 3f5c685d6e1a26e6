"""Times every cell with every contender, after showing that they computed the same.

The contenders of a cell run one after the other, and all cells again in each of several turns, so
that what disturbs the machine for a while disturbs one turn. table.py takes each contender's best
turn, and of that the median.
"""

from __future__ import annotations

from functools import lru_cache

import cells
import numpy as np
import pytest
import registry

# Two implementations differ by rounding, which some hundred steps of training amplify.
TOLERANCE = 1e-10
# Parameters that moved by less would hide a contender that does not train.
MOVED = 1e-3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    config = metafunc.config
    turns = 1 if config.getoption("benchmark_disable") else config.getoption("turns")
    metafunc.parametrize(
        ("cell", "contender", "turn"),
        [
            pytest.param(cell, contender, turn, id=f"{cell.label}, {contender.name}, {turn}")
            for turn in range(turns)
            for cell in cells.CELLS
            for contender in registry.CONTENDERS
        ],
    )


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@lru_cache(maxsize=1)
def expected(cell: cells.Cell) -> np.ndarray:
    task = cells.task(cell)
    result = registry.prepare(registry.ORACLE, task)().copy()
    if cell.epochs:
        assert distance(result, task.start) > MOVED
    return result


@pytest.mark.benchmark(min_time=1e-3, max_time=0.25, min_rounds=3, disable_gc=True)
def test_cell(benchmark, cell, contender, turn) -> None:
    if not registry.present(contender):
        pytest.skip(f"{contender.name} is not installed")
    run = registry.prepare(contender, cells.task(cell))
    difference = distance(run(), expected(cell))
    assert difference <= TOLERANCE, f"{contender.name} differs by {difference:.1e}"
    benchmark.group = f"{cell.label}: {cell.units} {cell.unit}s a run"
    benchmark.extra_info.update(
        cell=cell.label,
        contender=contender.name,
        units=cell.units,
        unit=cell.unit,
        difference=difference,
    )
    benchmark(run.func, *run.args, **run.keywords)
