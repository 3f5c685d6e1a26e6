"""Training over the ranks of an MPI communicator, by the real mpiexec.

The bytes are those of one process; and what happens where ranks differ, fail or are interrupted.
"""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mpi4py")

from tests.distributed import ranks

MPIEXEC = Path(sys.executable).with_name("mpiexec")
ROOT = Path(__file__).resolve().parents[2]
# A generous end for whatever stands still; the tests' own limits are far below.
LIMIT = 240


def launch(folder, n, case):
    """Run a case on n ranks: (exit status, what each rank has written or None, standard error)."""
    if not MPIEXEC.exists():
        pytest.skip("there is no mpiexec beside this Python: pip install mpich")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment |= {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    command = [str(MPIEXEC), "-n", str(n), sys.executable, "-m", "tests.distributed.ranks", case]
    process = subprocess.Popen(
        [*command, str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, error = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, error = process.communicate()
        pytest.fail(f"{case} on {n} ranks hangs: {error[-2000:]}")
    answers = []
    for rank in range(n):
        path = folder / f"{rank}.json"
        answers.append(json.loads(path.read_text()) if path.exists() else None)
    return process.returncode, answers, error


def found(folder, n, case):
    """Return what all ranks have found, which is the same."""
    status, answers, error = launch(folder, n, case)
    assert status == 0, error[-2000:]
    for answer in answers:
        assert "found" in (answer or {}), (answer, error[-2000:])
        assert answer["found"] == answers[0]["found"]
    return answers[0]["found"]


def errors(folder, n, case):
    """Return the errors of all ranks."""
    status, answers, error = launch(folder, n, case)
    assert status == 0, error[-2000:]
    for answer in answers:
        assert "error" in (answer or {}), (answer, error[-2000:])
    return [answer["error"] for answer in answers]


@pytest.fixture(scope="module")
def expected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranks.one_process()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_bytes_of_one_process(n, tmp_path, expected):
    assert found(tmp_path, n, "solvers") == expected


@pytest.mark.parametrize("n", [2, 4])
def test_parts_of_any_size(n, tmp_path):
    by_parts = found(tmp_path, n, "parts")
    alone = by_parts.pop("alone")
    X, Y = ranks.data()
    net = ranks.network()
    want = ranks.told(net, net.fit(X, Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=6))
    for pattern, told in by_parts.items():
        assert told == want, pattern
    net = ranks.network()
    want = ranks.told(net, net.fit(X, Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=2))
    assert alone == want["hash"]


def test_element_types_differ(tmp_path):
    """float32, int64 and float64 are as they would be in one array."""
    X, Y = ranks.data()
    places = ranks.cuts(ranks.N, 3, "unequal")
    Y[places[1] :] = Y[places[1] :].astype(np.float32)
    net = ranks.network()
    result = net.fit(np.round(8 * X), Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=6)
    assert found(tmp_path, 3, "dtypes") == ranks.told(net, result)


def test_columns_differ(tmp_path):
    first, last = errors(tmp_path, 2, "columns")
    assert last.startswith("ValueError: X must have"), last
    assert "rank 1 of 2: ValueError: X must have" in first, first


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("kinds", "class indices on all ranks or on none"),
        ("weights", "weights of the rows of X must be given on all ranks"),
        ("solver", "solver must be the same on all ranks"),
        ("networks", "parameters must be the same on all ranks (make it with the same seed"),
        ("resume differs", "resume must be the same on all ranks"),
    ],
)
def test_what_must_be_the_same(case, named, tmp_path):
    for error in errors(tmp_path, 3, case):
        assert error.startswith("ValueError"), error
        assert named in error


def test_refused(tmp_path):
    messages = found(tmp_path, 2, "refused")
    named = [
        "solver must be a solver",
        "geodesic",
        "Quickprop takes no",
        "validation must be a tuple",
    ]
    named += [
        "nothing but zeros on all ranks",
        "batch_size must be at most",
        "timeout must be positive",
    ]
    for message, text in zip(messages, named, strict=True):
        assert text in message, (message, text)


def test_a_callback_stops_all(tmp_path):
    told = found(tmp_path, 3, "stop")
    assert (told["epochs"], told["reason"]) == (2, "callback")


def test_a_callback_that_raises(tmp_path):
    *others, own = errors(tmp_path, 3, "callback")
    assert own == "OSError: the disk is full"
    for error in others:
        assert "rank 2 of 3: OSError in its callback: the disk is full" in error, error


@pytest.mark.parametrize("case", ["interrupt", "interrupt few"])
def test_a_signal_on_one_rank(case, tmp_path):
    status, answers, error = launch(tmp_path, 3, case)
    assert status == 0, error[-2000:]
    for answer in answers:
        assert answer["error"] == "KeyboardInterrupt: rank 2 of 3 was interrupted, and all with it"
        assert answer["reason"] == "interrupted"
        assert answer["epochs"] == answers[0]["epochs"] > 0


@pytest.mark.parametrize("case", ["time", "time, few"])
def test_time_by_one_clock(case, tmp_path):
    assert found(tmp_path, 3, case)["reason"] == "max_time"


@pytest.mark.parametrize("case", ["dies", "killed"])
def test_a_rank_that_dies_ends_all(case, tmp_path):
    status, answers, _ = launch(tmp_path, 3, case)
    assert status != 0
    assert answers[2] is None


@pytest.mark.parametrize("case", ["absent", "stands still"])
def test_a_rank_that_does_not_answer(case, tmp_path):
    """The others wait as long as they are told, and end the program with a message."""
    _, answers, error = launch(tmp_path, 2, case)
    told = answers[0]["error"]
    assert told.startswith("TimeoutError: rank 0 of 2 has waited 0.5 s until"), (told, error)
    assert "another rank has ended, stands still or does not take part" in told


def test_resumed(tmp_path):
    straight, cost, again, same = found(tmp_path, 3, "resume")
    assert (straight, cost) == (again, same)
