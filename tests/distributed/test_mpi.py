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


def launch(folder, n, cases):
    """Run cases on n ranks: (exit status, what each rank has written or None, standard error)."""
    if not MPIEXEC.exists():
        pytest.skip("there is no mpiexec beside this Python: pip install mpich")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    environment |= {"PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
    command = [str(MPIEXEC), "-n", str(n), sys.executable, "-m", "tests.distributed.ranks", cases]
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
        pytest.fail(f"{cases} on {n} ranks hangs: {error[-2000:]}")
    answers = []
    for rank in range(n):
        path = folder / f"{rank}.json"
        answers.append(json.loads(path.read_text()) if path.exists() else None)
    return process.returncode, answers, error


def found(answers, case):
    """Return what all ranks have found in a case, which is the same."""
    for answer in answers:
        assert answer[case].get("found") == answers[0][case].get("found"), answer[case]
    assert "found" in answers[0][case], answers[0][case]
    return answers[0][case]["found"]


def errors(answers, case):
    """Return the errors of all ranks."""
    for answer in answers:
        assert "error" in answer[case], answer[case]
    return [answer[case]["error"] for answer in answers]


def well(folder, n, cases):
    """Run cases that end well."""
    status, answers, error = launch(folder, n, cases)
    assert status == 0, error[-2000:]
    assert None not in answers, error[-2000:]
    return answers


# After most errors the ranks go on: one program does all of these, one after the other.
TOGETHER = (
    "columns;kinds;weights;solver;networks;resume differs;refused;stop;callback;interrupt;"
    "interrupt few;interrupt, checkpoint;time;time, few;dtypes;resume;checkpoint;parts;"
    "threads of one;callback_every of one;timeout of one;no communicator"
)
# One rank alone ends by something that it does not do with the others: these end with MPI_Abort.
ALONE = "own error;own warning;interrupt twice;exits;parts"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return well(tmp_path_factory.mktemp("ranks"), 3, TOGETHER)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """What each rank has to say where rank 0 leaves, and the fits after that."""
    status, answers, error = launch(tmp_path_factory.mktemp("alone"), 3, ALONE)
    assert status != 0
    assert None not in answers, error[-2000:]
    return answers


@pytest.fixture(scope="module")
def expected():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ranks.one_process()


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_bytes_of_one_process(n, tmp_path, expected):
    assert found(well(tmp_path, n, "solvers"), "solvers") == expected


def check_parts(by_parts):
    alone = by_parts.pop("alone")
    X, Y = ranks.data()
    net = ranks.network()
    want = ranks.told(net, net.fit(X, Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=6))
    for pattern, told in by_parts.items():
        assert told == want, pattern
    net = ranks.network()
    want = ranks.told(net, net.fit(X, Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=2))
    assert alone == want["hash"]


def test_parts_of_any_size(answers):
    check_parts(dict(found(answers, "parts")))


def test_parts_of_four(tmp_path):
    check_parts(dict(found(well(tmp_path, 4, "parts"), "parts")))


def test_element_types_differ(answers):
    """float32, int64 and float64 are as they would be in one array."""
    X, Y = ranks.data()
    places = ranks.cuts(ranks.N, 3, "unequal")
    Y[places[1] :] = Y[places[1] :].astype(np.float32)
    net = ranks.network()
    result = net.fit(np.round(8 * X), Y, solver=ranks.SOLVERS["lbfgs"][0], max_epochs=6)
    assert found(answers, "dtypes") == ranks.told(net, result)


def test_columns_differ(answers):
    *others, last = errors(answers, "columns")
    assert last.startswith("ValueError: X must have"), last
    for error in others:
        assert "rank 2 of 3: ValueError: X must have" in error, error


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
def test_what_must_be_the_same(case, named, answers):
    for error in errors(answers, case):
        assert error.startswith("ValueError"), error
        assert named in error


def test_refused(answers):
    messages = found(answers, "refused")
    named = ["solver must be a solver", "geodesic", "Quickprop takes no"]
    named += ["validation must be a tuple", "nothing but zeros on all ranks"]
    named += ["batch_size must be at most", "timeout must be positive"]
    for message, text in zip(messages, named, strict=True):
        assert text in message, (message, text)


def test_a_callback_stops_all(answers):
    told = found(answers, "stop")
    assert (told["epochs"], told["reason"]) == (2, "callback")


def test_a_callback_that_raises(answers):
    *others, own = errors(answers, "callback")
    assert own == "OSError: the disk is full"
    for error in others:
        assert "rank 2 of 3: OSError in its callback: the disk is full" in error, error


@pytest.mark.parametrize(
    ("case", "named"),
    [
        ("threads of one", "n_threads"),
        ("callback_every of one", "callback_every"),
        ("timeout of one", "timeout must be positive"),
    ],
)
def test_what_is_wrong_on_one_rank(case, named, answers):
    *others, own = errors(answers, case)
    assert own.startswith("ValueError"), own
    assert named in own
    for error in others:
        assert error == f"RankError: rank 2 of 3: {own}"


def test_no_communicator(answers):
    for error in errors(answers, "no communicator"):
        assert error == (
            "TypeError: comm must be a communicator of mpi4py such as MPI.COMM_WORLD, got 3"
        )


@pytest.mark.parametrize(
    ("case", "own"),
    [
        ("own error", "OSError: the disk is full"),
        ("own warning", "ConvergenceWarning: "),
        ("interrupt twice", "KeyboardInterrupt"),
        ("exits", "SystemExit: 143"),
    ],
)
def test_an_error_of_rank_0_alone(case, own, alone):
    """It comes out at once, and the others, who wait for its next sum, are told which it is."""
    first, *others = (answer[case] for answer in alone)
    assert first.get("error", first.get("found")).startswith(own), first
    for other in others:
        assert other["error"].startswith(f"RankError: rank 0 of 3: {own}"), other


def test_the_next_fit_after_such_an_error(alone):
    check_parts(dict(found(alone, "parts")))


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_rank_is_killed_and_all_go_on_from_the_file(which, tmp_path):
    status, _, _ = launch(tmp_path, 3, f"killed with a checkpoint, {which}")
    assert status != 0
    assert (tmp_path / "run.safetensors").exists()
    straight, again = found(well(tmp_path, 3, "goes on"), "goes on")
    assert straight == again


@pytest.mark.parametrize("case", ["interrupt", "interrupt few", "interrupt, checkpoint"])
def test_a_signal_on_one_rank(case, answers):
    for answer in answers:
        one = answer[case]
        assert one["error"] == "KeyboardInterrupt: rank 2 of 3 was interrupted, and all with it"
        assert one["reason"] == "interrupted"
        assert one["epochs"] == answers[0][case]["epochs"] > 0


@pytest.mark.parametrize("case", ["time", "time, few"])
def test_time_by_one_clock(case, answers):
    assert found(answers, case)["reason"] == "max_time"


def test_resumed(answers):
    straight, cost, again, same = found(answers, "resume")
    assert (straight, cost) == (again, same)


def test_goes_on_from_the_file_of_rank_0(answers):
    straight, again, epochs = found(answers, "checkpoint")
    assert (straight, epochs) == (again, 6)


@pytest.mark.parametrize("case", ["dies", "killed"])
def test_a_rank_that_dies_ends_all(case, tmp_path):
    status, answers, _ = launch(tmp_path, 3, case)
    assert status != 0
    assert answers[2] is None


@pytest.mark.parametrize("case", ["absent", "stands still"])
def test_a_rank_that_does_not_answer(case, tmp_path):
    """The others wait as long as they are told, and end the program with a message."""
    status, answers, error = launch(tmp_path, 2, case)
    assert status != 0
    told = answers[0][case]["error"]
    assert told.startswith("TimeoutError: rank 0 of 2 has waited 0.5 s until"), (told, error)
    assert "another rank has ended, stands still or does not take part" in told
