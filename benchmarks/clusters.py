"""What a step of a fit over several MPI ranks costs, beside one process: measured, and by a model.

Run `python benchmarks/clusters.py [--ranks 1,2,4] [--seconds 0.4]`. Over a network, after `bash
benchmarks/namespaces.sh up 2 0`, with `--ranks 2` and, in quotes, `--launch "bash
benchmarks/namespaces.sh mpi {n}"`. It starts `mpiexec` for each number of ranks, each rank with one
thread. A step is an epoch of full-batch
gradient descent: one gradient over all rows, its sum over the ranks, and the step itself. The model
is compute / ranks + latency, with the compute of one process and the latency of an exchange alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import machine
import numpy as np

import deltaloop as dl

# Layers, and rows: gradients of about 0.3 to 100 ms.
CELLS = {
    "10-16-1, 6,000 rows": ((10, 16, 1), 6_000),
    "10-16-1, 20,000 rows": ((10, 16, 1), 20_000),
    "28-32-1, 40,000 rows": ((28, 32, 1), 40_000),
    "28-64-64-1, 10,000 rows": ((28, 64, 64, 1), 10_000),
    "28-64-64-1, 60,000 rows": ((28, 64, 64, 1), 60_000),
    "64-128-10, 10,000 rows": ((64, 128, 10), 10_000),
}


def rows(layers: tuple[int, ...], n: int, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows begin .. end - 1 of n."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, layers[0]))[begin:end]
    return X, np.tanh(X[:, :1]).repeat(layers[-1], axis=1)


def seconds_of(fit, layers: tuple[int, ...], epochs: int) -> list[float]:
    """The seconds of each epoch but the first ones."""
    net = dl.Network(layers, seed=0)
    result = fit(net, dl.GradientDescent(1e-12), max_epochs=epochs, tol=0.0)
    return result.history.seconds[2:].tolist()


def by_ranks(seconds: float) -> None:
    """What each rank does; rank 0 prints a line for each cell."""
    from mpi4py import MPI

    from deltaloop.distributed import fit
    from deltaloop.distributed._mpi.channel import HEADER, Channel

    warnings.simplefilter("ignore")
    comm = MPI.COMM_WORLD
    rank, size = comm.Get_rank(), comm.Get_size()
    channel = Channel(comm, 60.0)
    for name, (layers, n) in CELLS.items():
        X, Y = rows(layers, n, n * rank // size, n * (rank + 1) // size)

        def train(net, solver, X=X, Y=Y, **options):
            return fit(net, X, Y, solver=solver, n_threads=1, timeout=120.0, **options)

        first = statistics.median(seconds_of(train, layers, 6))
        epochs = comm.bcast(max(6, min(3000, int(seconds / 8 / first))), 0)
        steps = []
        for _ in range(5):
            steps.append(statistics.median(seconds_of(train, layers, epochs)))
        net = dl.Network(layers, seed=0)
        sizes = [HEADER + 8 * (2 + net.n_parameters)] * size
        waits = []
        for _ in range(300):
            mine = np.zeros(sizes[rank], np.uint8)
            began = time.perf_counter()
            channel.gather(mine, sizes, "the others measure")
            waits.append(time.perf_counter() - began)
        if rank == 0:
            found = {"cell": name, "step": steps, "latency": statistics.median(waits)}
            print(json.dumps(found), flush=True)


def one_process(seconds: float) -> dict[str, list[float]]:
    """Steps of one process without MPI."""
    found = {}
    warnings.simplefilter("ignore")
    for name, (layers, n) in CELLS.items():
        X, Y = rows(layers, n, 0, n)

        def train(net, solver, X=X, Y=Y, **options):
            return net.fit(X, Y, solver=solver, n_threads=1, **options)

        first = statistics.median(seconds_of(train, layers, 6))
        epochs = max(6, min(3000, int(seconds / 8 / first)))
        found[name] = [statistics.median(seconds_of(train, layers, epochs)) for _ in range(5)]
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", default="1,2,4")
    parser.add_argument("--seconds", type=float, default=0.4, help="for each cell and number")
    mpiexec = str(Path(sys.executable).with_name("mpiexec"))
    launch = f"{mpiexec} -n {{n}}"
    parser.add_argument("--launch", default=launch, help="how n ranks are started")
    parser.add_argument("--prefix", default="", help="what runs each measurement")
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.rank:
        return by_ranks(given.seconds)
    if given.alone:
        return print(json.dumps(one_process(given.seconds)))
    own = [sys.executable, __file__, "--seconds", str(given.seconds)]

    def run(command: list[str]) -> str:
        command = [*shlex.split(given.prefix), *command]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    alone = json.loads(run([*own, "--alone"]).splitlines()[-1])
    table = {}
    for n in map(int, given.ranks.split(",")):
        command = [*shlex.split(given.launch.format(n=n)), *own, "--rank"]
        table[n] = {}
        for line in run(command).splitlines():
            if line.startswith("{"):
                one = json.loads(line)
                table[n][one["cell"]] = one
    again = json.loads(run([*own, "--alone"]).splitlines()[-1])
    cpus = len(os.sched_getaffinity(0))
    print(f"{machine.processor()}, {cpus} CPUs; milliseconds a step")
    print("| network and rows | ranks | one process | measured | model | exchange | efficiency |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in CELLS:
        compute = statistics.median(alone[name] + again[name])
        for n, cells in table.items():
            step, latency = statistics.median(cells[name]["step"]), cells[name]["latency"]
            model = compute / min(n, cpus) + latency
            figures = " | ".join(f"{1e3 * s:.3f}" for s in (compute, step, model, latency))
            print(f"| {name} | {n} | {figures} | {compute / step / min(n, cpus):.0%} |")
    return None


if __name__ == "__main__":
    main()
