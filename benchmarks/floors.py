"""The floor of a cell: the least time that its work can take on this machine.

For one unit of `rows` rows, with T threads, each term in seconds:

- **arithmetic**: FLOP / peak(T) + sigmoids * tau / T. Per row and layer l with m^(l-1) m^(l) = W
  weights: 2 W for the forward pass; in training 2 W for the gradient and, from the second layer on,
  2 W for delta; per step 2 P for the update of P parameters. tau is the time of a sigmoid of the
  fewest operations that machine.c can write, many at once; tanh and the units of a softmax count as
  sigmoids, relu as nothing. Adam's update takes machine.c's time of it instead of 2 P. Levenberg
  and Marquardt's method has P (P + 1) for each row of J^T J, P^3 / 3 for its factors, and the
  forward pass of the next cost; L-BFGS 8 P for each of its pairs. All are added, for they compete
  for the same units.
- **memory**: what has to pass between the cores and the level that holds it. Weights: 8 P bytes,
  once for prediction, three times for a step (read, and for the update read and written), at the
  speed of the level that 8 P fits in; Adam reads and writes its two moments as well, so that
  7 times 8 P bytes pass, at the speed of the level that 24 P fits in. Instances:
  8 (m^(0) + m^(L)) bytes each, at the speed of the level that a run's data fits in. Levels of one
  core count T times if they are private (L1, L2).
- **chain**: what has to be computed one after the other, however many units there are. A layer's
  forward pass is a chain of m^(l-1) multiply-adds, as the promise of the same bits asks for, and a
  sigmoid; its delta one of m^(l+1) and two factors (three operations in the last layer); the
  gradient one over the rows, divided among 64 ranges where there are 4,096 rows or more; the update
  one more. f is a multiply-add's latency, s a sigmoid's.

Units overlap, so the floor is the largest of the three, plus what cannot overlap: two barriers a
step if T > 1, and the call from Python, with a new array where the call returns one. It is the
smaller of T = 1 and T = all. A unit of training is inside C and has no call.

Where the time is close to the floor, only another algorithm helps; the floor is itself no proof
that it can be reached: edges of tiles, latencies between phases, and packing are not in it.
"""

from __future__ import annotations

from itertools import pairwise

import cells
import second_order
from cells import Cell
from machine import Rates

RANGES, RANGES_FROM = 64, 4096  # of a full batch's gradient


def multiply_adds(layers: tuple[int, ...]) -> int:
    """Of one row in the forward pass."""
    return sum(m * k for m, k in pairwise(layers))


def trains(cell: Cell) -> bool:
    return cell.trains or cell.kind == cells.STEP


def flop(cell: Cell) -> int:
    """Of one unit: the products alone."""
    products = 2 * multiply_adds(cell.layers)
    if cell.kind == cells.LM:
        P = parameters(cell.layers)
        return (2 * products + P * (P + 1)) * cell.unit_rows + P**3 // 3
    if trains(cell):
        products = 3 * products - 2 * cell.layers[0] * cell.layers[1]
    return products * cell.unit_rows


def updates(cell: Cell, rates: Rates, peak: float, threads: int) -> float:
    """Seconds of what a unit does with its parameters besides."""
    P = parameters(cell.layers)
    if not trains(cell):
        return 0.0
    if cell.adam:
        return P * rates.adam / threads
    return (8 * second_order.MEMORY if cell.kind == cells.LBFGS else 2) * P / peak


def units(cell: Cell) -> int:
    """Of one row: those whose function takes an exponential."""
    hidden = 0 if cell.activation == "relu" else sum(cell.layers[1:-1])
    # A class is found without.
    linear = cell.output == "identity" or cell.kind == cells.ESTIMATE
    return hidden + (0 if linear else cell.layers[-1])


def parameters(layers: tuple[int, ...]) -> int:
    return multiply_adds(layers) + sum(layers[1:])


def level(rates: Rates, size: int, threads: int) -> str:
    """The first level of memory that holds so many bytes."""
    for name, room in rates.sizes.items():
        if size <= room * (threads if name in ("L1", "L2") else 1):
            return name
    return "DRAM"


def chain(cell: Cell, f: float, s: float) -> float:
    layers, rows = cell.layers, cell.unit_rows
    seconds = sum(m * f for m in layers[:-1])
    seconds += s * ((cell.activation != "relu") * (len(layers) - 2) + (cell.output != "identity"))
    if trains(cell):
        seconds += 3 * f + sum((m + 2) * f for m in layers[2:])
        if cell.trains and cell.batch is None and rows >= RANGES_FROM:
            rows = -(-rows // RANGES)
        seconds += (rows + 1) * f
    return seconds


def with_threads(cell: Cell, rates: Rates, threads: int) -> float:
    layers, rows = cell.layers, cell.unit_rows
    several = threads > 1
    size = 8 * parameters(layers) * (3 if cell.adam else 1)
    data = 8 * cell.rows * (layers[0] + layers[-1])
    peak = rates.flops_all if several else rates.flops
    bandwidth = rates.bandwidth_all if several else rates.bandwidth
    arithmetic = flop(cell) / peak + rows * units(cell) * rates.sigmoid / threads
    arithmetic += updates(cell, rates, peak, threads)
    passes = 7 / 3 if cell.adam else 3 if trains(cell) else 1
    memory = passes * size / bandwidth[level(rates, size, threads)]
    memory += data / cell.rows * rows / bandwidth[level(rates, data, threads)]
    floor = max(arithmetic, memory, chain(cell, rates.fma_latency, rates.sigmoid_latency))
    if several:
        floor += 2 * rates.barrier
    if cell.kind in (cells.LATENCY, cells.FORWARD, cells.ESTIMATE):
        floor += rates.array
    elif cell.kind in (cells.STEP, cells.BOUND):
        floor += rates.call
    return floor


def floor(cell: Cell, rates: Rates) -> float:
    """Least seconds of one unit."""
    return min(with_threads(cell, rates, threads) for threads in {1, rates.threads})
