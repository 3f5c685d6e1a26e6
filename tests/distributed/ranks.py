"""What each rank of ``test_mpi.py`` does: ``mpiexec python -m tests.distributed.ranks CASE DIR``.

Each rank writes what has become of it to DIR.
"""

import hashlib
import itertools
import json
import os
import pathlib
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import deltaloop as dl
from deltaloop._fit.progress import Stages

N, M = 4500, 4
# Seconds that nothing takes.
LONG = 200.0


def data(labels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of all ranks."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, M))
    if labels:
        return X, (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.3)
    return X, np.sin(X[:, :1]) + X[:, 1:2] * X[:, 2:3]


def cuts(n: int, size: int, pattern: str) -> list[int]:
    """Return where the parts of the ranks begin, and n."""
    if pattern == "equal":
        return [n * rank // size for rank in range(size + 1)]
    if pattern == "one row":
        return [0, *range(1, size), n] if size > 1 else [0, n]
    if pattern == "empty":  # the first and the one before the last
        inner = [0] + [n // 3 + rank for rank in range(size - 2)]
        return (
            [0, *inner[: size - 1], n] if size < 3 else [0, 0, *inner[2:], inner[-1], n][: size + 1]
        )
    inner = np.sort(np.random.default_rng(3).integers(1, n, size - 1))
    return [0, *inner.tolist(), n]


def network(labels: bool = False, hidden: int = 6) -> dl.Network:
    """Return the network that all train."""
    output = {"output": "softmax", "loss": "cross_entropy"} if labels else {}
    return dl.Network((M, hidden, 3 if labels else 1), seed=3, **output)


WEIGHTS = np.random.default_rng(2).random(N)
SOLVERS: dict[str, tuple[dl.solvers.Solver | list[dl.solvers.Solver], dict[str, Any]]] = {
    "descent": (dl.GradientDescent(1e-4, momentum=0.9), {}),
    "clipped": (dl.GradientDescent(1e-4, clip_norm=1.0), {"l1": 0.01}),
    "adam": (dl.Adam(0.01), {"l2": 0.1}),
    "batches": (dl.Adam(0.01, batch_size=100), {}),
    "in order": (dl.GradientDescent(1e-4, batch_size=64, shuffle=False), {"l2": 0.1}),
    "singly": (dl.GradientDescent(1e-4, batch_size=1), {}),
    "large batches": (dl.Adam(0.01, batch_size=4200), {}),
    "large in order": (dl.Adam(0.01, batch_size=4300, shuffle=False), {"l1": 0.01}),
    "dropout": (dl.Adam(0.01), {"dropout": 0.2}),
    "dropout of large batches": (dl.Adam(0.01, batch_size=4200), {"dropout": 0.2}),
    "dropout of batches": (dl.Adam(0.01, batch_size=500), {"dropout": 0.2}),
    "lbfgs": (dl.LBFGS(), {}),
    "lm": (dl.LevenbergMarquardt(), {}),
    "bayesian": (dl.BayesianRegularization(), {}),
    "rprop": (dl.Rprop(), {}),
    "quickprop": (dl.Quickprop(), {}),
    "scg": (dl.ScaledConjugateGradient(), {}),
    "chain": ([dl.Adam(0.01), dl.LBFGS()], {}),
    "schedule": (dl.Adam(dl.schedules.Cosine(0.01, epochs=4)), {}),
}


def told(net: dl.Network, result: dl.FitResult) -> dict[str, Any]:
    """Return what must be the same: bytes by their hash."""
    parameters = net.parameters.tobytes()
    h = hashlib.sha256(parameters)
    for name in ("cost", "validation_cost", "learning_rate", "gradient_norm"):
        h.update(np.nan_to_num(getattr(result.history, name), nan=-1.0).tobytes())
    for name in sorted(result.state):
        h.update(name.encode() + np.asarray(result.state[name]).tobytes())
    return {
        "hash": h.hexdigest(),
        "parameters": hashlib.sha256(parameters).hexdigest(),
        "cost": result.cost,
        "epochs": result.epochs,
        "reason": result.stop_reason,
        "message": result.message,
        "n": [result.n_instances, result.n_validation],
    }


def every_solver(fit: Callable[..., dl.FitResult], take: Callable[..., Any]) -> dict[str, Any]:
    """Train by each solver; `take` gives a rank its part."""
    X, Y = data()
    found = {}
    for name, (solver, options) in SOLVERS.items():
        net = network()
        result = fit(net, take(X), take(Y), solver=solver, max_epochs=4, **options)
        found[name] = told(net, result)
    net = network()
    result = fit(
        net, take(X), take(Y), solver=dl.LBFGS(), max_epochs=4, sample_weight=take(WEIGHTS)
    )
    found["weights"] = told(net, result)
    net = network()
    others = X[:300] + 0.1, Y[:300], WEIGHTS[:300]
    many = np.concatenate([X + 0.1, X]), np.concatenate([Y, Y])
    for what, validation in (("few", others), ("many", many)):
        net = network()
        result = fit(
            net,
            take(X),
            take(Y),
            solver=dl.Adam(0.3),
            max_epochs=12,
            validation=tuple(take(part) for part in validation),
            patience=2,
        )
        found[f"validation by {what}"] = told(net, result)
    X, labels = data(labels=True)
    net = network(labels=True)
    result = fit(
        net, take(X), take(labels), solver=dl.LBFGS(), max_epochs=4, class_weight="balanced"
    )
    found["classes"] = told(net, result)
    Y = np.where(np.arange(N)[:, np.newaxis] % 7 == 0, np.nan, Y)
    for name in ("lbfgs", "lm", "batches"):
        net = network()
        result = fit(
            net, take(X), take(Y), solver=SOLVERS[name][0], max_epochs=3, missing_targets="skip"
        )
        found[f"gaps, {name}"] = told(net, result)
    X, Y = data()
    net = network()  # few rows: all ranks have them all
    result = fit(net, take(X[:50]), take(Y[:50]), solver=dl.LevenbergMarquardt(), max_epochs=5)
    found["few rows"] = told(net, result)
    net = network(hidden=1500)  # one chain
    result = fit(net, take(X), take(Y), solver=dl.Adam(0.001), max_epochs=2)
    found["many parameters"] = told(net, result)
    X = np.random.default_rng(1).normal(size=(N, M)).astype(np.float32)
    net = network()
    result = fit(net, take(X), take(Y), solver=dl.LBFGS(), max_epochs=3)
    found["float32"] = told(net, result)
    return found


def one_process() -> dict[str, Any]:
    """Return the same of one process with all rows."""
    return every_solver(lambda net, X, Y, **options: net.fit(X, Y, **options), lambda array: array)


# ---- by ranks ----


class Bar(Stages):
    """A progress bar, which rank 0 has alone, that does something in epoch 2."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self.action, self.epochs = action, 0

    def update(self, n: int) -> None:
        """Count."""
        self.epochs += n
        if self.epochs == 2:
            self.action()


def main(cases: str, folder: str) -> None:
    """Do one case after the other, "a;b;c", and write down what became of each."""
    from mpi4py import MPI

    answers = {case: one(case) for case in cases.split(";")}
    out = pathlib.Path(folder) / f"{MPI.COMM_WORLD.Get_rank()}.json"
    out.write_text(json.dumps(answers))


def one(case: str) -> dict[str, Any]:
    """Do one case."""
    from mpi4py import MPI

    from deltaloop.distributed import fit

    warnings.simplefilter("ignore", dl.ConvergenceWarning)
    comm = MPI.COMM_WORLD
    rank, size = comm.Get_rank(), comm.Get_size()
    X, Y = data()
    at = cuts(N, size, "unequal")

    def part(array: np.ndarray, pattern: str = "unequal") -> np.ndarray:
        places = cuts(len(array), size, pattern)
        return array[places[rank] : places[rank + 1]]

    def lbfgs(X: Any = None, Y: Any = None, **options: Any) -> dict[str, Any]:
        net = options.pop("net", None) or network()
        settings: dict[str, Any] = {
            "solver": dl.LBFGS(),
            "max_epochs": 6,
            "timeout": 60.0,
        } | options
        result = fit(
            net,
            part(data()[0]) if X is None else X,
            part(data()[1]) if Y is None else Y,
            **settings,
        )
        return told(net, result)

    def alone() -> str:
        other = MPI.COMM_SELF
        net = network()
        return told(net, fit(net, *data(), comm=other, solver=dl.LBFGS(), max_epochs=2))["hash"]

    def on_rank(which: int, action: Callable[[], Any], epoch: int = 2) -> Any:
        def callback(info: dl.EpochInfo) -> Any:
            return action() if info.epoch == epoch else None

        return callback if rank == which else None

    def fail() -> None:
        raise OSError("the disk is full")

    last = size - 1
    found: Any
    try:
        if case == "solvers":
            found = every_solver(
                lambda net, X, Y, **options: fit(
                    net, X, Y, timeout=60.0, n_threads=1 + rank % 2, **options
                ),
                part,
            )
        elif case == "parts":
            found = {
                pattern: lbfgs(part(X, pattern), part(Y, pattern))
                for pattern in ("equal", "one row", "empty", "unequal")
            }
            found["alone"] = alone()
        elif case == "dtypes":
            own = np.float32 if rank == 0 else np.float64 if rank % 2 else np.int64
            found = lbfgs(
                part(np.round(8 * X)).astype(own), part(Y).astype(np.float32 if rank else float)
            )
        elif case == "columns":
            found = lbfgs(part(X)[:, : M - 1 if rank == last else M])
        elif case == "kinds":
            classes = data(labels=True)[1]
            one_hot = np.eye(3)[classes]
            found = lbfgs(Y=part(classes if rank else one_hot), net=network(labels=True))
        elif case == "weights":
            found = lbfgs(sample_weight=part(WEIGHTS) if rank else None)
        elif case == "solver":
            found = lbfgs(solver=dl.LBFGS() if rank else dl.Adam(0.1))
        elif case == "networks":
            found = lbfgs(net=dl.Network((M, 6, 1), seed=rank))
        elif case == "stop":
            found = lbfgs(callback=on_rank(last, lambda: True))
        elif case == "callback":
            found = lbfgs(callback=on_rank(last, fail))
        elif case == "interrupt":
            found = lbfgs(callback=on_rank(last, lambda: os.kill(os.getpid(), signal.SIGINT)))
        elif case == "interrupt, checkpoint":
            path = pathlib.Path(sys.argv[2]) / "interrupted.safetensors"
            found = lbfgs(
                callback=on_rank(last, lambda: os.kill(os.getpid(), signal.SIGINT)),
                checkpoint=path,
                checkpoint_every=1000.0,
            )
        elif case == "interrupt twice":  # the second one is raised where rank 0 is just then

            def twice() -> None:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

            found = lbfgs(progress=Bar(twice))
        elif case == "own warning":  # of rank 0, after the last step
            with warnings.catch_warnings():
                warnings.simplefilter("error", dl.ConvergenceWarning)
                found = lbfgs()
        elif case == "own error":
            # The others are in their callbacks until it has come out of the fit.
            there = pathlib.Path(sys.argv[2]) / "came out"

            def wait(info: dl.EpochInfo) -> None:
                end = time.monotonic() + 60
                while rank and info.epoch == 2 and time.monotonic() < end:
                    if there.exists():
                        return
                    time.sleep(0.01)

            try:
                found = lbfgs(callback=wait, progress=Bar(fail))
            except OSError:
                there.touch()
                raise
        elif case == "interrupt few":
            found = lbfgs(
                part(X[:40]),
                part(Y[:40]),
                callback=on_rank(last, lambda: os.kill(os.getpid(), signal.SIGINT)),
                tol=0.0,
                max_epochs=100_000,
            )
        elif case == "time":
            found = lbfgs(solver=dl.Adam(1e-9), max_time=0.3, max_epochs=10**9, tol=0.0)
        elif case == "time, few":
            found = lbfgs(
                part(X[:40]),
                part(Y[:40]),
                solver=dl.Adam(1e-9),
                max_time=0.3,
                max_epochs=10**9,
                tol=0.0,
            )
        elif case == "dies":
            found = lbfgs(callback=on_rank(last, lambda: os._exit(3)))
        elif case == "killed":
            found = lbfgs(callback=on_rank(last, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        elif case == "absent":
            if rank == last:
                time.sleep(LONG)  # the end of the others ends it
                found = "was not there"
            else:
                found = lbfgs(timeout=0.5)
        elif case == "stands still":  # which the rank that does so does not wait for
            limit = 60.0 if rank == last else 0.5
            found = lbfgs(callback=on_rank(last, lambda: time.sleep(LONG)), timeout=limit)
        elif case in ("killed with a checkpoint, first", "killed with a checkpoint, last"):
            which = last if case.endswith("last") else 0
            found = lbfgs(
                callback=on_rank(which, lambda: os.kill(os.getpid(), signal.SIGKILL), 4),
                checkpoint=pathlib.Path(sys.argv[2]) / "run.safetensors",
                checkpoint_every=0.0,
            )
        elif case == "goes on":
            path = pathlib.Path(sys.argv[2]) / "run.safetensors"
            found = [lbfgs()["hash"], lbfgs(resume=path, checkpoint=path)["hash"]]
        elif case == "threads of one":
            found = lbfgs(n_threads=0 if rank == last else 1)
        elif case == "callback_every of one":
            found = lbfgs(callback_every=0 if rank == last else 1)
        elif case == "timeout of one":
            found = lbfgs(timeout=-1.0 if rank == last else 60.0)
        elif case == "exits":  # by a signal's handler

            def leave(*_: object) -> None:
                raise SystemExit(143)

            before = signal.signal(signal.SIGTERM, leave)
            try:
                found = lbfgs(progress=Bar(lambda: os.kill(os.getpid(), signal.SIGTERM)))
            except SystemExit as left:
                found = f"SystemExit: {left}"
            finally:
                signal.signal(signal.SIGTERM, before)
        elif case == "no communicator":
            found = lbfgs(comm=3)
        elif case == "resume":
            states: list[Any] = []
            net = network()
            first = fit(
                net,
                part(X),
                part(Y),
                solver=dl.LBFGS(),
                max_epochs=6,
                callback=lambda info: states.append(info.state) if info.epoch == 3 else None,
            )
            straight = told(net, first)
            other = network()
            again = fit(other, part(X), part(Y), solver=dl.LBFGS(), max_epochs=6, resume=states[0])
            found = [
                straight["parameters"],
                straight["cost"],
                told(other, again)["parameters"],
                again.cost,
            ]
        elif case == "checkpoint":
            path = pathlib.Path(sys.argv[2]) / "run.safetensors"
            net = network()
            first = fit(net, part(X), part(Y), solver=dl.LBFGS(), max_epochs=6)
            with suppress(OSError, RuntimeError):  # the last rank fails
                lbfgs(callback=on_rank(last, fail, 4), checkpoint=path, checkpoint_every=0.0)
            comm.Barrier()
            other = network()
            options: dict[str, Any] = {"resume": path, "checkpoint": path}
            again = fit(other, part(X), part(Y), solver=dl.LBFGS(), max_epochs=6, **options)
            found = [told(net, first)["hash"], told(other, again)["hash"], again.epochs]
        elif case == "resume differs":
            state = network().fit(X, Y, solver=dl.LBFGS(), max_epochs=2).state
            changed = {name: np.array(value) for name, value in state.items()}
            if rank == last:
                changed["parameters"][0] += 1.0
            found = lbfgs(resume=changed)
        elif case == "refused":
            found = []
            for options in (
                {"solver": None},
                {"solver": dl.LevenbergMarquardt(geodesic=True)},
                {"solver": dl.Quickprop(), "sample_weight": part(WEIGHTS)},
                {"validation": 0.2},
                {"sample_weight": part(0.0 * WEIGHTS)},
                {"solver": dl.Adam(batch_size=10**6)},
                {"timeout": 0.0},
            ):
                try:
                    found.append(lbfgs(**options))  # type: ignore[arg-type]
                except (TypeError, ValueError, RuntimeError) as error:
                    found.append(f"{type(error).__name__}: {error}")
        else:
            raise SystemExit(f"no case {case}")
        return {"found": found, "rows": at[rank + 1] - at[rank]}
    except KeyboardInterrupt as interrupt:
        result: Any = getattr(interrupt, "result", None)
        return {
            "error": f"KeyboardInterrupt: {interrupt}",
            "epochs": None if result is None else result.epochs,
            "reason": None if result is None else result.stop_reason,
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    main(*itertools.islice(sys.argv[1:], 2))
