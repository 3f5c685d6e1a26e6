"""The file of a fit that may be killed: every one of them goes on to the same result."""

from __future__ import annotations

import itertools
import os
import pathlib
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import deltaloop as dl
from deltaloop._files import atomic
from deltaloop._files import state as files
from deltaloop._fit import autosave, stages
from tests.helpers import kills
from tests.helpers.compare import same

pytestmark = pytest.mark.filterwarnings("ignore::deltaloop.ConvergenceWarning")

RNG = np.random.default_rng(6)
X, Y = RNG.normal(size=(60, 4)), RNG.normal(size=(60, 2))
EPOCHS = 9

CASES = {
    "descent": {"solver": dl.GradientDescent(1e-3, momentum=0.5)},
    "single rows": {"solver": dl.GradientDescent(1e-3, batch_size=1), "max_epochs": 2},
    "mini-batches": {"solver": dl.GradientDescent(1e-3, batch_size=7)},
    "in order": {"solver": dl.GradientDescent(1e-3, batch_size=7, shuffle=False)},
    "large batches": {"solver": dl.Adam(1e-2, batch_size=59)},
    "adam": {"solver": dl.Adam(1e-2, batch_size=16)},
    "adamw": {"solver": dl.AdamW(1e-2, batch_size=16, clip_norm=0.5)},
    "dropout": {"solver": dl.Adam(1e-2, batch_size=16), "dropout": 0.3},
    "full dropout": {"solver": dl.Adam(1e-2), "dropout": 0.3},
    "rprop": {"solver": dl.Rprop()},
    "quickprop": {"solver": dl.Quickprop(1e-3)},
    "lbfgs": {"solver": dl.LBFGS()},
    "scg": {"solver": dl.ScaledConjugateGradient()},
    "levenberg": {"solver": dl.LevenbergMarquardt()},
    "bayesian": {"solver": dl.BayesianRegularization()},
    "cosine": {"solver": dl.Adam(dl.schedules.Cosine(1e-3, epochs=EPOCHS), batch_size=9)},
    "plateau": {"solver": dl.GradientDescent(dl.schedules.Plateau(1e-3, patience=1), batch_size=9)},
    "held out": {"solver": dl.Adam(1e-2, batch_size=16), "validation": 0.25, "patience": 2},
    "given": {"solver": dl.Rprop(), "validation": (X[:9], Y[:9]), "patience": 50},
    "chain": {"solver": [dl.Adam(1e-2, batch_size=20), dl.LBFGS(), dl.Rprop()], "max_epochs": 3},
    "watched chain": {
        "solver": [dl.Adam(1e-2), dl.LBFGS()],
        "validation": 0.25,
        "patience": 3,
    },
    "goal": {"solver": dl.LBFGS(), "goal": 70.0, "max_epochs": 100},
    "converged": {"solver": [dl.Rprop(), dl.LBFGS()], "tol": 1.0, "max_epochs": 50},
    "scaled": {"solver": dl.Rprop(), "scale": "standard"},
    "weighted": {"solver": dl.Adam(1e-2, batch_size=16), "l2": 0.1, "sample_weight": np.arange(60)},
    "chosen": {"max_epochs": 30},
}


def options(name, **others):
    return {"max_epochs": EPOCHS, "tol": 0.0, "seed": 4} | CASES[name] | others


def net(width=6, **others):
    made = {"activation": "tanh", "output": "identity", "seed": 3} | others
    return dl.Network([4, width, 2], **made)


@pytest.fixture
def often(monkeypatch):
    """Write after every portion of work, each of which is the least there is."""
    monkeypatch.setattr(autosave, "SHARE", 1e9)
    monkeypatch.setattr(atomic.os, "fsync", lambda _: None)  # hundreds of them take seconds
    monkeypatch.setattr(stages, "FIRST_WORK", 1.0)
    monkeypatch.setattr(stages, "adapted", lambda *_: 1.0)


@pytest.fixture
def versions(monkeypatch, often, tmp_path):
    """All versions of the file of one fit, in their order."""
    kept, write = [], files.write

    def keep(name, run):
        write(name, run)
        copy = tmp_path / f"version-{len(kept)}"
        copy.write_bytes(pathlib.Path(name).read_bytes())
        kept.append(copy)

    monkeypatch.setattr(files, "write", keep)
    return kept


def facts(network, result):
    """All that a run has told, but for its times."""
    history = result.history
    series = history.cost, history.validation_cost, history.learning_rate, history.gradient_norm
    arrays = [network.parameters, *series, *(result.state[key] for key in sorted(result.state))]
    told = result.epochs, result.stop_reason, result.converged, result.cost, result.initial_cost
    told += result.best_epoch, result.validation_cost, result.gradient_norm, result.message
    told += result.choice, result.l2, result.n_instances, result.n_validation, sorted(result.state)
    told += tuple((s.solver, s.epochs, s.stop_reason, s.cost) for s in result.stages)
    return [np.asarray(array).tobytes() for array in arrays], repr(told)


@pytest.mark.parametrize("name", CASES)
def test_every_version_goes_on_to_the_same_result(name, versions, tmp_path):
    whole, path = net(), tmp_path / "run.safetensors"
    expected = facts(whole, whole.fit(X, Y, **options(name)))
    watched = net()
    told = facts(watched, watched.fit(X, Y, **options(name), checkpoint=path, checkpoint_every=0))
    assert told == expected  # a file changes nothing
    within = ["epoch_row" in files.read(str(version)).state for version in versions]
    batch = getattr(CASES[name].get("solver"), "batch_size", None)
    assert sum(within) > (2 if batch else -1)
    assert files.read(str(versions[-1])).reason == expected[1].split("'")[1]
    step = max(1, len(versions) // 6)
    for version in [*versions[:3], *versions[3:-2:step], *versions[-2:]]:
        twin = net(seed=3 if name == "chosen" else 8)
        given = {"seed": None} if name != "chosen" else {}
        rest = twin.fit(X, Y, **options(name, **given), resume=version)
        if name != "chosen":
            assert twin._position == net()._position  # another stream's
        assert facts(twin, rest) == expected


def test_slices_never_end():
    """However long the least there is takes: with no work at all nothing would be done for ever."""
    work = stages.FIRST_WORK
    for _ in range(2000):
        work = stages.adapted(work, 60.0)
    assert work >= 1.0
    assert stages.adapted(work, 0.0) > work


@pytest.mark.parametrize("name", ["mini-batches", "lbfgs", "watched chain"])
def test_a_run_of_many_parts(name, often, tmp_path):
    """Each part goes on from the last one's file, and writes it: the result is that of the run."""
    whole, path = net(), tmp_path / "run.safetensors"
    expected = facts(whole, whole.fit(X, Y, **options(name)))
    for end in range(1, 40):
        twin = net()
        given = options(name, callback=lambda info, end=end: info.epoch == end)
        result = twin.fit(X, Y, **given, checkpoint=path, checkpoint_every=0, resume=path)
        if result.stop_reason != "callback":
            break
        assert result.epochs == end
    assert facts(twin, result) == expected
    before = path.read_bytes()
    twin = net()
    again = twin.fit(X, Y, **options(name), checkpoint=path, resume=path)
    assert facts(twin, again) == expected
    assert path.read_bytes() == before  # nothing was left to do


def test_the_networks_own_stream_goes_on(often, tmp_path):
    path, given = tmp_path / "run.safetensors", options("adam", seed=None)
    whole = net()
    whole.fit(X, Y, **given)
    twin = net()
    twin.fit(X, Y, **given, checkpoint=path, callback=lambda info: info.epoch == 4)
    twin = net()
    twin.fit(X, Y, **given, resume=path)
    assert twin._position == whole._position > 0
    assert same(twin.parameters, whole.parameters)


def test_more_epochs_and_other_rules(often, tmp_path):
    """A run that is over goes on where its end was due to what has changed."""
    path = tmp_path / "run.safetensors"
    whole, first, second = net(), net(), net()
    expected = whole.fit(X, Y, **options("adam", max_epochs=12))
    first.fit(X, Y, **options("adam", max_epochs=5), checkpoint=path)
    result = second.fit(X, Y, **options("adam", max_epochs=12), resume=path)
    assert facts(second, result) == facts(whole, expected)
    with pytest.raises(ValueError, match="max_epochs must be above the 5 epochs"):
        net().fit(X, Y, **options("adam", max_epochs=4), resume=path)
    whole, first, second, third = net(), net(), net(), net()
    expected = whole.fit(X, Y, **options("lbfgs", max_epochs=500, tol=0.2))
    assert expected.stop_reason == "converged"
    first.fit(X, Y, **options("lbfgs", max_epochs=500, tol=1.0), checkpoint=path)
    again = second.fit(X, Y, **options("lbfgs", max_epochs=900, tol=1.0), resume=path)
    assert again.stop_reason == "converged"
    assert same(second.parameters, first.parameters)
    third.fit(X, Y, **options("lbfgs", max_epochs=500, tol=0.2), resume=path)
    assert same(third.parameters, whole.parameters)


def test_what_is_refused(often, tmp_path):
    path = tmp_path / "run.safetensors"
    given = options("adam")
    with pytest.raises(FileNotFoundError):
        net().fit(X, Y, **given, resume=path)
    net().fit(X, Y, **given, checkpoint=path)
    before = path.read_bytes()
    refused = [
        (net(activation="relu"), {}, "network with activation"),
        (net(), {"solver": dl.LBFGS()}, "resume has"),
        (net(), {"seed": 5}, "seed must be the number that the run to resume began with"),
        (net(), {"seed": np.random.default_rng(0)}, "seed must be the number"),
        (net(), {"validation": 0.25}, "60 instances with 0 for validation, got 45 and 15"),
        (net(), {"scale": "standard"}, "scale must be that of resume"),
    ]
    for network, change, message in refused:
        parameters = network.parameters.copy()
        with pytest.raises(ValueError, match=message):
            network.fit(X, Y, **given | change, resume=path, checkpoint=path)
        assert same(network.parameters, parameters)
    with pytest.raises(ValueError, match="got 59 and 0"):
        net().fit(X[1:], Y[1:], **given, resume=path)
    with pytest.raises(FileNotFoundError, match="folder that does not exist"):
        net().fit(X, Y, **given, checkpoint=tmp_path / "none" / "run")
    with pytest.raises(IsADirectoryError):
        net().fit(X, Y, **given, checkpoint=tmp_path)
    with pytest.raises(ValueError, match="device"):
        net().fit(X, Y, **given, checkpoint=os.devnull)
    with pytest.raises(TypeError, match="checkpoint must be a str"):
        net().fit(X, Y, **given, checkpoint=3)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="checkpoint_every must be"):
            net().fit(X, Y, **given, checkpoint=path, checkpoint_every=wrong)
    assert path.read_bytes() == before
    model = tmp_path / "model.safetensors"
    net().save(model)
    with pytest.raises(ValueError, match=r"expected a checkpoint.*found a model"):
        net().fit(X, Y, **given, resume=model)
    with pytest.raises(ValueError, match=r"checkpoint of a fit.*resume"):
        dl.load(path)


@pytest.mark.parametrize("kind", ["model", "tensors", "text", "array", "bytes", "pipe"])
def test_files_of_others_are_not_overwritten(kind, often, tmp_path):
    path = tmp_path / "there"
    found = "no file of deltaloop"
    if kind == "model":
        net().save(path)
        found = "a model"
    elif kind == "tensors":
        pytest.importorskip("safetensors.numpy").save_file({"a": X}, path)
        found = "another safetensors file"
    elif kind == "text":
        path.write_text("a thesis\n" * 20)
        found = "text, as in a CSV file"
    elif kind == "array":
        with open(path, "wb") as file:
            np.save(file, X)
        found = "a NumPy .npy file"
    elif kind == "bytes":
        path.write_bytes(b"\0\1\xff")
    else:
        if not hasattr(os, "mkfifo"):
            pytest.skip("needs named pipes")
        os.mkfifo(path)
        found = "expected a regular file"
    before = None if kind == "pipe" else path.read_bytes()
    network = net()
    parameters = network.parameters.copy()
    with pytest.raises(ValueError, match=f"checkpoint=.*{found}"):
        network.fit(X, Y, **options("adam"), checkpoint=path)
    assert same(network.parameters, parameters)
    assert before is None or path.read_bytes() == before


def test_files_that_a_checkpoint_may_replace(often, tmp_path):
    """One without bytes, and a checkpoint of another fit."""
    path = tmp_path / "there"
    path.touch()
    net().fit(X, Y, **options("adam"), checkpoint=path)
    first = files.read(str(path))
    net(width=5).fit(X, Y, **options("lbfgs"), checkpoint=path)
    assert files.read(str(path)).network != first.network


def test_damaged_files_are_refused(often, tmp_path):
    """Every cut, and every bit that is another one."""
    path = tmp_path / "run.safetensors"
    net().fit(X, Y, **options("adam"), checkpoint=path)
    content = path.read_bytes()
    length = 8 + int.from_bytes(content[:8], "little")
    cuts = [content[:n] for n in (0, 5, 8, 100, length, len(content) - 1)]
    others = [
        content[:i] + bytes([content[i] ^ 1 << i % 8]) + content[i + 1 :]
        for i in range(0, len(content), 23)
    ]
    for damaged in cuts + others:
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"expected|damaged"):
            net().fit(X, Y, **options("adam"), resume=path)


def test_a_disk_that_is_full_warns_once_and_the_fit_goes_on(often, monkeypatch, tmp_path):
    path, made = tmp_path / "run.safetensors", []
    whole = net()
    expected = facts(whole, whole.fit(X, Y, **options("adam")))
    net().fit(X, Y, **options("adam"), checkpoint=path, callback=lambda info: info.epoch == 3)
    before = path.read_bytes()

    def full(number):
        made.append(number)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    twin = net()
    with pytest.warns(dl.CheckpointWarning) as caught:
        result = twin.fit(X, Y, **options("adam"), checkpoint=path, checkpoint_every=0, resume=path)
    assert facts(twin, result) == expected
    assert len(made) > 3
    texts = [str(w.message) for w in caught if w.category is dl.CheckpointWarning]
    assert len(texts) == 1
    assert caught[0].filename == __file__
    assert f"{path}: No space left on device" in texts[0]
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes")
def test_files_that_may_not_grow(tmp_path):
    """A real limit of the system's, in a process of its own."""
    path = tmp_path / "run.safetensors"
    code = f"""
import resource, signal, warnings
import numpy as np, deltaloop as dl
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(50, 3)), rng.normal(size=50)
net = dl.Network([3, 40, 1], activation="tanh", output="identity", seed=0)
options = dict(solver=dl.Adam(batch_size=5), tol=0.0, checkpoint={str(path)!r})
net.fit(X, Y, max_epochs=5, **options)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    result = net.fit(X, Y, max_epochs=7, resume={str(path)!r}, **options)
print(result.epochs, [w.category.__name__ for w in caught])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "7 ['CheckpointWarning']", done.stderr
    assert int(files.read(str(path)).state["epochs"]) == 5
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of folders")
def test_a_folder_that_is_read_only(often, monkeypatch, tmp_path):
    path = tmp_path / "folder" / "run.safetensors"
    path.parent.mkdir()
    path.parent.chmod(0o500)
    if os.access(path.parent, os.W_OK):  # of the superuser

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(atomic.temporary, "create", refuse)
    network = net()
    with pytest.warns(dl.CheckpointWarning, match=r"run\.safetensors: Permission denied"):
        result = network.fit(X, Y, **options("adam"), checkpoint=path)
    path.parent.chmod(0o700)
    assert result.epochs == EPOCHS
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("name", ["adam", "descent", "lbfgs", "levenberg", "chain"])
def test_a_signal_writes_what_there_is(name, kind, monkeypatch, often, tmp_path):
    """Wherever it comes: here after each call of C's in turn."""
    whole, path = net(), tmp_path / "run.safetensors"
    expected = facts(whole, whole.fit(X, Y, **options(name)))
    for calls in itertools.count(1, 9):
        count = itertools.count(1)

        def interrupt(work, seconds, calls=calls, count=count):
            if next(count) == calls:
                raise kind
            return 1.0

        monkeypatch.setattr(stages, "adapted", interrupt)
        path.unlink(missing_ok=True)
        first, second = net(), net()
        try:
            first.fit(X, Y, **options(name), checkpoint=path)
        except kind as error:
            file, epochs = error.checkpoint
            assert file == str(path)
            assert epochs == len(files.read(file).history[0])
        else:
            break
        monkeypatch.setattr(stages, "adapted", lambda *_: 1.0)
        assert facts(second, second.fit(X, Y, **options(name), resume=path)) == expected
    assert calls > 9


def test_long_epochs_keep_the_end_of_the_last_one(monkeypatch, often, tmp_path):
    """Where a signal would wait too long for the end of an epoch."""
    path, rng = tmp_path / "run.safetensors", np.random.default_rng(7)
    x, y = rng.normal(size=(100_000, 4)), rng.normal(size=(100_000, 2))  # several portions an epoch
    whole = net(60)
    expected = facts(whole, whole.fit(x, y, **options("lbfgs", max_epochs=5)))
    monkeypatch.setattr(autosave, "GRACE", -1.0)  # every epoch is too long
    done: list[int] = []
    count = itertools.count(1)

    def interrupt(work, seconds):
        if len(done) >= 2 and next(count) == 3:  # within the third epoch
            raise KeyboardInterrupt
        return 1.0

    monkeypatch.setattr(stages, "adapted", interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        net(60).fit(
            x,
            y,
            **options("lbfgs", max_epochs=5),
            callback=lambda info: done.append(info.epoch),
            checkpoint=path,
            checkpoint_every=1e6,
        )
    assert caught.value.checkpoint[1] >= 1
    monkeypatch.setattr(stages, "adapted", lambda *_: 1.0)
    twin = net(60)
    assert facts(twin, twin.fit(x, y, **options("lbfgs", max_epochs=5), resume=path)) == expected


def test_other_threads_and_forks_have_files_too(often, tmp_path):
    whole = net()
    expected = facts(whole, whole.fit(X, Y, **options("adam")))
    found = {}

    def train(number):
        twin = net()
        given = {"checkpoint": tmp_path / str(number), "checkpoint_every": 0}
        found[number] = facts(twin, twin.fit(X, Y, **options("adam"), **given))

    threads = [threading.Thread(target=train, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert all(found[i] == expected for i in range(3))
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2"]


def test_it_is_written_no_more_often_than_it_pays(monkeypatch, tmp_path):
    """Of a file that takes long to write, at most a part of the time goes into that."""
    clock = itertools.count()
    monkeypatch.setattr(autosave.time, "perf_counter", lambda: float(next(clock)))
    monkeypatch.setattr(files, "write", lambda name, run: None)
    saver = autosave.Autosave(str(tmp_path / "run"), 10.0)
    monkeypatch.setattr(autosave, "_run", lambda *_: None)

    class Run:
        history = np.zeros((5, 1))
        report = staticmethod(lambda: None)

    assert saver.write(None, 0, Run())
    assert saver.due == 1.0 + 1.0 / autosave.SHARE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_at_random_moments():
    counts = kills.run(20, seed=0, names=["mini-batches", "chain"])
    assert counts["kills"] == 20


def test_a_signal_in_writing_writes_again(often, monkeypatch, tmp_path):
    path = tmp_path / "run.safetensors"
    whole = net()
    expected = facts(whole, whole.fit(X, Y, **options("adam")))
    fsync, count = os.fsync, itertools.count()

    def interrupted(number):
        if next(count) == 7:
            raise KeyboardInterrupt
        fsync(number)

    monkeypatch.setattr(atomic.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        net().fit(X, Y, **options("adam"), checkpoint=path, checkpoint_every=0)
    assert caught.value.checkpoint[0] == str(path)
    assert os.listdir(tmp_path) == [path.name]
    twin = net()
    assert facts(twin, twin.fit(X, Y, **options("adam"), resume=path)) == expected


def test_the_default_of_a_signal_is_another_programs(tmp_path):
    """The library leaves SIGTERM to its caller."""
    before = signal.getsignal(signal.SIGTERM)
    net().fit(X, Y, **options("adam"), checkpoint=tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) is before
