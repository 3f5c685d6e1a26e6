"""Dask: the bytes of one process, whatever the blocks and the workers, and what ends a fit."""

from __future__ import annotations

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("distributed")
pytest.importorskip("pandas")

import dask
import dask.array as da
import distributed

import deltaloop as dl
from deltaloop.distributed import dask_fit, dask_predict
from deltaloop.distributed._dask.plan import plan_of

N = 6001
RNG = np.random.default_rng(7)
X = RNG.normal(size=(N, 4))
Y = np.stack([np.sin(2 * X[:, 0]) * X[:, 1], np.cos(X[:, 2])], axis=1)
C = np.digitize(X[:, 0] * X[:, 1], [-0.3, 0.4])
W = RNG.uniform(0, 2, N)
UNEQUAL = (0, 2500, 1, 0, 3500)
# What Dask leaves to the garbage collector at its end is none of ours.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
killable = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")


@pytest.fixture(scope="module", autouse=True)
def patient():
    """Wait long where the machine is busy."""
    with dask.config.set({"distributed.comm.timeouts.connect": "120s"}):
        yield
    gc.collect()


def in_process(n_workers, threads=1):
    return distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=threads, processes=False, dashboard_address=":0"
    )


@pytest.fixture(scope="module")
def client():
    with in_process(2, 2) as cluster, distributed.Client(cluster) as connected:
        yield connected


@pytest.fixture
def processes(tmp_path):
    """Two workers that can be killed: a nanny starts each of them again."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=":0",
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster, timeout="120s") as connected,
    ):
        connected.wait_for_workers(2, timeout=120)
        yield connected


def blocks(array, sizes):
    return da.from_array(array, chunks=(sizes, *array.shape[1:]))


def network(loss="squared_error", m=2):
    output = {"squared_error": "identity", "cross_entropy": "softmax"}[loss]
    return dl.Network([4, 9, m], activation="tanh", output=output, loss=loss, seed=5)


def same(net, other):
    return net.parameters.tobytes() == other.parameters.tobytes()


# ---- the plan ----


@pytest.mark.parametrize("seed", range(30))
def test_a_plan_has_each_row_once_and_each_chain_in_its_order(seed):
    rng = np.random.default_rng(seed)
    counts = [*rng.integers(0, 9, rng.integers(1, 12)).tolist(), 3]
    rows = sum(counts)
    begin = int(rng.integers(0, rows))
    n = int(rng.integers(1, rows - begin + 1))
    inner = rng.choice(np.arange(1, n + 1), size=min(n, int(rng.integers(0, 5))), replace=False)
    bounds = sorted({0, n, *inner.tolist()})
    workers = [f"w{k}" for k in rng.integers(0, 3, len(counts))]
    plan = plan_of(counts, bounds, workers, begin)
    first = np.concatenate([[0], np.cumsum(counts)])
    seen, when, ends = [], {}, {}
    for wave, parts in enumerate(plan.waves):
        for worker, numbers in parts.items():
            for number in numbers:
                run, row = plan.runs[number], None
                assert {workers[piece.block] for piece in run.pieces} == {worker}
                for piece in run.pieces:
                    seen.append((piece.begin, piece.begin + piece.stop - piece.start))
                    assert first[piece.block] + piece.start - begin == piece.begin
                    if row is not None:
                        assert piece.begin == row
                        assert row not in bounds
                    row = seen[-1][1]
                if run.pieces[0].begin in bounds:
                    assert run.after is None
                else:
                    assert when[run.after] < wave
                    assert ends[run.after] == run.pieces[0].begin
                    assert plan.runs[run.after].is_continued
                when[number], ends[number] = wave, row
    seen.sort()
    assert (seen[0][0], seen[-1][1]) == (0, n)
    assert all(stop == start for (_, stop), (start, _) in pairwise(seen))


# ---- the same bytes ----

SOLVERS = [
    dl.LBFGS(),
    dl.GradientDescent(1e-4),
    dl.LevenbergMarquardt(),
    dl.Adam(1e-3),
    dl.Adam(1e-3, batch_size=100),
    dl.Adam(1e-3, batch_size=4500),
    dl.GradientDescent(1e-5, batch_size=4500, shuffle=False),
    [dl.Adam(1e-3), dl.ScaledConjugateGradient()],
]


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_the_bytes_are_those_of_one_array(client, solver):
    alone = network()
    expected = alone.fit(X, Y, solver=solver, max_epochs=4)
    for sizes in ((N,), UNEQUAL, (700,) * 8 + (401,)):
        net = network()
        result = dask_fit(
            client, net, blocks(X, sizes), blocks(Y, sizes), solver=solver, max_epochs=4
        )
        assert same(net, alone)
        assert result.cost == expected.cost
        assert result.cost_history.tobytes() == expected.cost_history.tobytes()
        assert result.message == expected.message


def test_a_chain_of_many_parameters_goes_from_worker_to_worker(client):
    alone, net = (dl.Network([4, 300, 40, 1], activation="tanh", seed=1) for _ in range(2))
    assert alone.n_parameters > 8192
    alone.fit(X, Y[:, 0], solver=dl.GradientDescent(1e-4), max_epochs=2)
    parts = blocks(X, UNEQUAL), blocks(Y[:, 0], UNEQUAL)
    dask_fit(client, net, *parts, solver=dl.GradientDescent(1e-4), max_epochs=2)
    assert same(net, alone)


@pytest.mark.parametrize(
    "options",
    [
        {"sample_weight": W},
        {"l1": 1e-3, "l2": 1e-2},
        {"dropout": 0.3},
        {"solver": dl.Adam(1e-3, batch_size=64), "dropout": 0.3, "sample_weight": W},
        {"validation": (X[:900], Y[:900], W[:900]), "patience": 3},
        {"validation": (X[:4500], Y[:4500])},
        {"n_threads": 3},
        {"goal": 1e3},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_are_those_of_fit(client, options):
    options = {"solver": dl.Rprop(), "max_epochs": 5, **options}
    if "dropout" in options and isinstance(options["solver"], dl.Rprop):
        options["solver"] = dl.Adam(1e-3)
    alone, net = network(), network()
    expected = alone.fit(X, Y, **options)
    if "validation" in options:
        given = options["validation"]
        options["validation"] = tuple(blocks(part, (400, len(part) - 400)) for part in given)
    if "sample_weight" in options:
        options["sample_weight"] = blocks(W, UNEQUAL)
    result = dask_fit(client, net, blocks(X, UNEQUAL), blocks(Y, UNEQUAL), **options)
    assert same(net, alone)
    assert result.stop_reason == expected.stop_reason
    assert result.validation_cost == expected.validation_cost or "validation" not in options


def test_classes_and_their_weights(client):
    alone, net = network("cross_entropy", 3), network("cross_entropy", 3)
    options = {"solver": dl.LBFGS(), "max_epochs": 5, "class_weight": "balanced"}
    alone.fit(X, C, **options)
    dask_fit(client, net, blocks(X, UNEQUAL), blocks(C, UNEQUAL), **options)
    assert same(net, alone)


def test_missing_targets(client):
    gaps = Y.copy()
    gaps[::3, 1] = np.nan
    options = {"solver": dl.LevenbergMarquardt(), "max_epochs": 3, "missing_targets": "skip"}
    alone, net = network(), network()
    alone.fit(X, gaps, **options)
    dask_fit(client, net, blocks(X, UNEQUAL), blocks(gaps, UNEQUAL), **options)
    assert same(net, alone)


def test_few_rows_are_trained_on_in_this_process(client):
    alone, net = network(), network()
    alone.fit(X[:900], Y[:900], solver=dl.LevenbergMarquardt(), max_epochs=5)
    parts = blocks(X[:900], (0, 400, 500)), blocks(Y[:900], (0, 400, 500))
    dask_fit(client, net, *parts, solver=dl.LevenbergMarquardt(), max_epochs=5)
    assert same(net, alone)


def test_a_resumed_fit_goes_on_with_the_same_bytes(client):
    alone, net = network(), network()
    alone.fit(X, Y, solver=dl.LBFGS(), max_epochs=6)
    parts = blocks(X, UNEQUAL), blocks(Y, UNEQUAL)
    half = dask_fit(client, net, *parts, solver=dl.LBFGS(), max_epochs=3)
    dask_fit(client, net, *parts, solver=dl.LBFGS(), max_epochs=6, resume=half.state)
    assert same(net, alone)


# ---- what users give ----


def kinds(client):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    parts = list(pairwise([0, 2500, 2500, N]))
    table = pd.DataFrame(X, columns=list("abcd"))
    values = pd.DataFrame(Y, columns=["p", "q"])
    return {
        "tables": (dd.from_pandas(table, npartitions=3), dd.from_pandas(values, npartitions=3)),
        "delayed": tuple([dask.delayed(part[a:b]) for a, b in parts] for part in (X, Y)),
        "futures": (
            [client.submit(np.array, X[a:b], pure=False) for a, b in parts],
            [dask.delayed(Y[a:b]) for a, b in parts],
        ),
        "pairs": ([dask.delayed((X[a:b], Y[a:b])) for a, b in parts], None),
        "persisted": tuple(client.persist([blocks(X, UNEQUAL), blocks(Y, UNEQUAL)])),
        "mixed": (
            [
                dask.delayed(X[:2500]),
                dask.delayed(table[2500:3000].convert_dtypes()),
                dask.delayed(np.asfortranarray(X[3000:])),
            ],
            [dask.delayed(Y[:2500]), dask.delayed(values[2500:3000]), dask.delayed(Y[3000:])],
        ),
    }


@pytest.mark.parametrize("kind", ["tables", "delayed", "futures", "pairs", "persisted", "mixed"])
def test_all_kinds_of_blocks(client, kind):
    alone, net = network(), network()
    alone.fit(X, Y, solver=dl.LBFGS(), max_epochs=3)
    dask_fit(client, net, *kinds(client)[kind], solver=dl.LBFGS(), max_epochs=3)
    assert same(net, alone)


def test_blocks_of_float32_beside_float64(client):
    half = X.astype(np.float32)
    alone, net = network(), network()
    alone.fit(np.concatenate([half[:3000], X[3000:]]), Y, solver=dl.LBFGS(), max_epochs=3)
    given = [dask.delayed(half[:3000]), dask.delayed(X[3000:])]
    dask_fit(client, net, given, targets, solver=dl.LBFGS(), max_epochs=3)
    assert same(net, alone)


def test_predictions_stay_in_the_blocks(client):
    pd = pytest.importorskip("pandas")
    dd = pytest.importorskip("dask.dataframe")
    net, one = network(), network(m=1)
    A = dask_predict(client, net, x)
    assert A.chunks == (UNEQUAL, (2,))
    assert A.compute().tobytes() == net.predict(X).tobytes()
    table = dd.from_pandas(pd.DataFrame(X, index=np.arange(N) * 2), npartitions=3)
    found = dask_predict(client, one, table).compute()
    assert found.to_numpy().tobytes() == one.predict(X).tobytes()
    assert found.index[-1] == 2 * (N - 1)
    parts = dask_predict(client, net, [dask.delayed(X[:10]), dask.delayed(X[:0])])
    assert [part.shape for part in dask.compute(*parts)] == [(10, 2), (0, 2)]
    with pytest.raises(ValueError, match=r"X must have shape \(n, 4\), got 3 columns"):
        dask_predict(client, net, x[:, :3])
    with pytest.raises(TypeError, match="X must be a Dask array"):
        dask_predict(client, net, X)


# ---- what cannot be ----

x, y = blocks(X, UNEQUAL), blocks(Y, UNEQUAL)
pieces = [dask.delayed(X[:3000]), dask.delayed(X[3000:])]
targets = [dask.delayed(Y[:3000]), dask.delayed(Y[3000:])]
nan = X.copy()
nan[2600, 1] = np.nan


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((X, y), TypeError, "X must be a Dask array or dataframe.*got ndarray"),
        ((x.rechunk((3000, 2)), y), ValueError, "side by side.*rechunk"),
        ((x, blocks(Y, (N,))), ValueError, "X has 5 blocks but Y has 1"),
        ((x, blocks(Y, (0, 2500, 0, 1, 3500))), ValueError, "block 2.*X has 1 inst.* Y has 0"),
        ((pieces, [targets[0], dask.delayed(Y[3000:-1])]), ValueError, "block 1.*but Y has 3000"),
        (
            ([pieces[0], dask.delayed(X[3000:, :3])], targets),
            ValueError,
            r"block 1 \(rows 3000 to 6000.*must have shape.*got \(3001, 3\)",
        ),
        ((blocks(nan, UNEQUAL), y), ValueError, r"block 4.*row 99, column 1"),
        (([dask.delayed(X[:0])], [dask.delayed(Y[:0])]), ValueError, "X is empty: none of its 1"),
        ((pieces[0], targets[0]), TypeError, "X must be a Dask array.*got Delayed"),
        (([], []), ValueError, "X is empty: it has no blocks"),
        ((x, None), TypeError, r"block 0.*without Y each block of X must be a tuple"),
        ((x[:, 0], y), ValueError, "X must have two dimensions"),
        (([pieces[0], X[3000:]], targets), TypeError, r"X\[1\] must be a delayed block"),
        (
            ([pieces[0], dask.delayed(X[3000:].astype(complex))], targets),
            TypeError,
            "block 1.*real numbers",
        ),
    ],
)
def test_what_is_wrong_with_blocks(client, given, error, message):
    net = network()
    before = net.parameters.tobytes()
    with pytest.raises(error, match=message):
        dask_fit(client, net, *given, solver=dl.LBFGS(), max_epochs=2)
    assert net.parameters.tobytes() == before


def test_classes_in_one_block_and_values_in_another(client):
    one_hot = np.eye(3)[C]
    given = [dask.delayed(C[:3000]), dask.delayed(one_hot[3000:])]
    with pytest.raises(ValueError, match=r"classes in one block and values in another.*block 1"):
        dask_fit(client, network("cross_entropy", 3), pieces, given, solver=dl.LBFGS())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"solver": None}, ValueError, "solver must be given"),
        ({"validation": 0.2}, ValueError, r"validation must be \(X, Y\)"),
        ({"sample_weight": blocks(np.zeros(N), UNEQUAL)}, ValueError, "nothing but zeros"),
        ({"sample_weight": blocks(-W, UNEQUAL)}, ValueError, "block 1.*at least 0"),
        ({"n_threads": 0}, ValueError, "n_threads"),
        ({"timeout": 0}, ValueError, "timeout must be above 0"),
        ({"class_weight": "balanced"}, ValueError, "targets that are classes"),
    ],
    ids=lambda options: "-".join(options) if isinstance(options, dict) else "",
)
def test_what_is_wrong_with_options(client, options, error, message):
    with pytest.raises(error, match=message):
        dask_fit(client, network(), x, y, **{"solver": dl.LBFGS(), "max_epochs": 2, **options})


def test_clients_that_cannot_be_used():
    with pytest.raises(TypeError, match=r"client must be a dask.distributed.Client, got str"):
        dask_fit("tcp://127.0.0.1:1", network(), x, y, solver=dl.LBFGS())
    with in_process(1) as cluster:
        closed = distributed.Client(cluster)
        closed.close()
        with pytest.raises(ValueError, match="client is closed; connect a new one"):
            dask_fit(closed, network(), x, y, solver=dl.LBFGS())
    with pytest.raises(TypeError, match=r"net must be a deltaloop.Network"):
        dask_fit(None, "net", x, y, solver=dl.LBFGS())


# ---- clusters that change ----


def test_no_workers_end_in_time_with_a_message():
    with (
        in_process(0) as cluster,
        distributed.Client(cluster) as connected,
        pytest.raises(TimeoutError, match=r"had no workers for 2 seconds while reading X"),
    ):
        dask_fit(connected, network(), x, y, solver=dl.LBFGS(), timeout=2.0)


def test_a_client_that_is_closed_ends_the_fit():
    alone, net, solver = network(), network(), dl.GradientDescent(1e-4)
    alone.fit(X, Y, solver=solver, max_epochs=2)
    with in_process(1) as cluster:
        connected = distributed.Client(cluster)
        with pytest.raises(ConnectionError, match="client was closed"):
            dask_fit(
                connected,
                net,
                x,
                y,
                solver=solver,
                max_epochs=9,
                callback=lambda info: connected.close(),
            )
    # The gradient at these was the first one that nobody could compute.
    assert same(net, alone)


def test_an_error_of_a_callback_comes_out(client):
    def fail(info):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        dask_fit(client, network(), x, y, solver=dl.LBFGS(), max_epochs=9, callback=fail)


def test_a_worker_joins_late_and_the_first_one_leaves():
    alone, net = network(), network()
    alone.fit(X, Y, solver=dl.LBFGS(), max_epochs=6)
    with in_process(1) as cluster, distributed.Client(cluster) as connected:
        first = list(connected.has_what())

        def change(info):
            if info.epoch == 2:
                cluster.scale(2)
                connected.wait_for_workers(2, timeout=120)
            if info.epoch == 4:
                connected.retire_workers(first, close_workers=True)

        dask_fit(connected, net, x, y, solver=dl.LBFGS(), max_epochs=6, callback=change)
    assert same(net, alone)


def test_two_fits_at_once(client):
    def fit(seed):
        nets = [dl.Network([4, 9, 2], activation="tanh", seed=seed) for _ in range(2)]
        nets[0].fit(X, Y, solver=dl.Rprop(), max_epochs=8)
        dask_fit(client, nets[1], x, y, solver=dl.Rprop(), max_epochs=8)
        return same(*nets)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fit, range(4))) == [True] * 4


def test_a_fit_within_a_task(client):
    def fit():
        net = network()
        with distributed.worker_client() as inner:
            dask_fit(inner, net, x, y, solver=dl.LBFGS(), max_epochs=3)
        return net.parameters

    alone = network()
    alone.fit(X, Y, solver=dl.LBFGS(), max_epochs=3)
    assert client.submit(fit, pure=False).result().tobytes() == alone.parameters.tobytes()


def kill(client, workers=None):
    """Kill one of these workers, or none if none is there."""
    pids = client.run(os.getpid, workers=workers, on_error="ignore")
    for pid in list(pids.values())[:1]:
        os.kill(pid, signal.SIGKILL)


@killable
def test_workers_are_killed_in_mid_fit(processes):
    alone, net, threads = network(), network(), []
    options = {"solver": dl.LBFGS(), "max_epochs": 8}
    alone.fit(X, Y, **options)

    def watch(info):
        if info.epoch == 2:  # between two requests
            kill(processes)
        if info.epoch == 4:  # whenever it comes
            threads.append(threading.Thread(target=kill, args=(processes,)))
            threads[0].start()

    dask_fit(processes, net, x, y, callback=watch, timeout=120.0, **options)
    threads[0].join()
    assert same(net, alone)


@killable
def test_rows_that_cannot_be_made_again_end_the_fit(processes):
    workers = list(processes.has_what())[:1]
    held = [processes.scatter(part, workers=workers) for part in (X[:3000], X[3000:])]
    with pytest.raises(ConnectionError, match=r"client.scatter"):
        dask_fit(
            processes,
            network(),
            held,
            targets,
            solver=dl.LBFGS(),
            max_epochs=5,
            callback=lambda info: kill(processes, workers),
            timeout=120.0,
        )
