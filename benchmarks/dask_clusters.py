"""What a step of a fit on the workers of a Dask cluster costs, beside one process; and by a model.

Run `python benchmarks/dask_clusters.py [--workers 1,2] [--rows 20000,60000] [--steps 20]`, with
`--scheduler ADDRESS` on a cluster that is there. A step is an epoch of full-batch gradient descent
with 28-64-64-1, in turns: by one thread of one process, by as many threads as there are workers,
and by the workers, each with one thread and one block. The second tells what the processors give
to two at a time, as virtual ones may be two threads of one core. The model is compute / workers +
latency: the compute of one process with one thread, and the latency of a request with as many
parameters and nothing to compute.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings

import distributed
import machine
import numpy as np

import deltaloop as dl
from deltaloop.distributed import dask_fit

LAYERS = (28, 64, 64, 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--rows", default="20000,60000,120000")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=3, help="of which the median is shown")
    parser.add_argument("--scheduler", help="the address of a cluster; its workers are used")
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def fit_alone(X: np.ndarray, Y: np.ndarray, steps: int, threads: int) -> tuple[float, bytes]:
    """The seconds of a step, and the parameters at the end."""
    net = dl.Network(LAYERS, seed=0)
    result = net.fit(
        X, Y, solver=dl.GradientDescent(1e-9), max_epochs=steps, tol=0.0, n_threads=threads
    )
    return statistics.median(result.history.seconds[2:].tolist()), net.parameters.tobytes()


def fit_there(
    client: distributed.Client, X: np.ndarray, Y: np.ndarray, workers: int, steps: int
) -> tuple[float, bytes]:
    """The same on a cluster, in a block for each worker."""
    addresses = list(client.has_what())[:workers]
    blocks = [
        [
            client.scatter(part, workers=[address], hash=False)
            for address, part in zip(addresses, np.array_split(array, workers), strict=True)
        ]
        for array in (X, Y)
    ]
    net = dl.Network(LAYERS, seed=0)
    result = dask_fit(
        client, net, *blocks, solver=dl.GradientDescent(1e-9), max_epochs=steps, tol=0.0
    )
    return statistics.median(result.history.seconds[2:].tolist()), net.parameters.tobytes()


def nothing(parameters: np.ndarray) -> np.ndarray:
    return parameters


def latency(client: distributed.Client, steps: int) -> float:
    """The seconds of a request that computes nothing."""
    parameters = np.zeros(dl.Network(LAYERS, seed=0).n_parameters)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        client.run(nothing, parameters)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    given = arguments()
    warnings.simplefilter("ignore")
    print(machine.processor())
    rng = np.random.default_rng(0)
    rows = numbers(given.rows)
    X = rng.standard_normal((max(rows), LAYERS[0]))
    Y = np.tanh(X[:, :1])
    for workers in numbers(given.workers):
        with connected(given.scheduler, workers) as client:
            overhead = latency(client, 3 * given.steps)
            print(f"workers: {workers}, a request for nothing: {1e3 * overhead:.1f} ms")
            for n in rows:
                parts = X[:n], Y[:n], given.steps
                turns = [
                    (
                        fit_alone(*parts, 1),
                        fit_alone(*parts, workers),
                        there(client, parts, workers),
                    )
                    for _ in range(given.turns)
                ]
                one, threads, here = np.median([[t for t, _ in turn] for turn in turns], axis=0)
                same = len({each for turn in turns for _, each in turn}) == 1
                model = one / workers + overhead
                figures = " | ".join(f"{1e3 * t:.1f}" for t in (one, threads, here, model))
                print(
                    f"| {n:,} | {workers} | {figures} | {one / workers / here:.0%} | "
                    f"{'same' if same else 'OTHER'} bytes |"
                )


def there(
    client: distributed.Client, parts: tuple[np.ndarray, np.ndarray, int], workers: int
) -> tuple[float, bytes]:
    X, Y, steps = parts
    return fit_there(client, X, Y, workers, steps)


class connected:
    """A client of the cluster at this address, or of one with so many workers of one thread."""

    def __init__(self, address: str | None, workers: int) -> None:
        self.cluster = None
        if address is None:
            self.cluster = distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=":0"
            )
        self.client = distributed.Client(self.cluster or address)
        self.client.wait_for_workers(workers, timeout=60)

    def __enter__(self) -> distributed.Client:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        if self.cluster is not None:
            self.cluster.close()


if __name__ == "__main__":
    main()
