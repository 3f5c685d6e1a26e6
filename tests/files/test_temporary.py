"""New files until they have their name: what a killed process leaves, the next save removes."""

from __future__ import annotations

import errno
import gc
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import deltaloop as dl
from deltaloop._files import atomic, temporary
from tests.helpers.processes import run_python

POSIX = pytest.mark.skipif(os.name != "posix", reason="locks and signals are those of POSIX")

# Children that save are killed at random moments, while another child saves beside them.
KILLS = """
import os, random, signal, sys, time
import deltaloop as dl

directory, kills = sys.argv[1], int(sys.argv[2])
network = dl.Network([100, 300, 10], seed=1)
names = [os.path.join(directory, name) for name in ("a", "b")]
random.seed(0)

def child(work):
    number = os.fork()
    if number == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
        finally:
            os._exit(1)
    return number

def loop():
    for name in names:
        network.save(name)
    os.write(ready[1], b".")
    while True:
        for name in names:
            network.save(name)

def once():
    for _ in range(150):
        network.save(os.path.join(directory, "beside"))
    os._exit(0)

def leftovers():
    return sum(name.startswith(".deltaloop-") for name in os.listdir(directory))

beside, ready = child(once), os.pipe()
found = n = 0
while n < kills or (not found and n < 20 * kills):
    n += 1
    number = child(loop)
    os.read(ready[0], 1)
    time.sleep(random.uniform(0, 0.01))
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    found = max(found, leftovers())
assert os.waitpid(beside, 0)[1] == 0
network.save(names[0])
print(found, leftovers())
for name in [*names, os.path.join(directory, "beside")]:
    assert (dl.load(name).parameters == network.parameters).all()
"""


@pytest.mark.slow
@POSIX
def test_killed_savers(tmp_path):
    found, left = map(int, run_python(KILLS, str(tmp_path), "25").split())
    assert found > 0
    assert left == 0
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "beside"]


def save(folder):
    dl.Network([1, 1], seed=0).save(folder / "model")
    return sorted(set(os.listdir(folder)) - {"model"})


@POSIX
def test_a_file_that_is_being_written_stays(tmp_path):
    file = temporary.create(str(tmp_path), private=False)
    name = os.path.basename(file.name)
    assert save(tmp_path) == [name]
    os.utime(file.name, (0, 0))
    assert save(tmp_path) == [name]
    file.close()
    assert save(tmp_path) == []


@POSIX
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # that is what is lost
def test_an_interrupt_before_anybody_knows_of_the_file(tmp_path, monkeypatch):
    def create(directory, private, create=temporary.create):
        create(directory, private)
        raise KeyboardInterrupt

    monkeypatch.setattr(temporary, "create", create)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    monkeypatch.undo()
    gc.collect()
    assert save(tmp_path) == []


@POSIX
@pytest.mark.parametrize("removed", ["before it is locked", "while it is locked by the other"])
def test_a_file_that_another_writer_takes_for_left_over(removed, tmp_path, monkeypatch):
    calls = []

    def lock(file, lock=temporary._lock):
        calls.append(file.name)
        if len(calls) > 1:
            return lock(file)
        os.unlink(file.name)
        return lock(file) if "before" in removed else False

    monkeypatch.setattr(temporary, "_lock", lock)
    assert save(tmp_path) == []
    assert len(set(calls)) == 2
    assert dl.load(tmp_path / "model").layers == (1, 1)


@POSIX
def test_what_has_the_name_of_its_writer_by_now_stays(tmp_path, monkeypatch):
    """It is opened as left over, then its writer renames it, then the lock is free."""
    path = tmp_path / f".deltaloop-{temporary._machine()}-{'0' * 16}.tmp"
    path.write_bytes(b"new")

    def lock(file, lock=temporary._lock):
        if os.path.basename(file.name) == path.name:
            path.rename(tmp_path / "other")
        return lock(file)

    monkeypatch.setattr(temporary, "_lock", lock)
    assert save(tmp_path) == ["other"]
    assert (tmp_path / "other").read_bytes() == b"new"


def left(folder, machine=None, age=0.0):
    """A file as a killed process leaves it."""
    name = f".deltaloop-{machine or temporary._machine()}-{os.urandom(8).hex()}.tmp"
    (folder / name).write_bytes(b"half")
    os.utime(folder / name, (time.time() - age,) * 2)
    return name


OLD = 2 * temporary._OLD_SECONDS


def test_files_of_another_machine(tmp_path):
    """Its locks may not be seen here: what is young may be in use."""
    young, old = left(tmp_path, "00000000"), left(tmp_path, "00000000", OLD)
    assert save(tmp_path) == [young]
    assert old != young


@POSIX
def test_a_file_system_without_locks(tmp_path, monkeypatch):
    import fcntl

    def flock(descriptor, operation):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    young, old = left(tmp_path), left(tmp_path, age=OLD)
    assert save(tmp_path) == [young]
    assert old != young
    monkeypatch.undo()
    assert save(tmp_path) == []


def test_other_names_stay(tmp_path):
    names = [
        ".deltaloop-0123456789abcdef.tmp",
        f".deltaloop-{temporary._machine()}-{'0' * 15}.tmp",
        f".deltaloop-{temporary._machine()}-{'0' * 16}.tmp.txt",
        "deltaloop.tmp",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (0, 0))
    assert save(tmp_path) == sorted(names)


@POSIX
def test_traps(tmp_path):
    """What only has such a name is not opened for long, not followed and not removed."""
    names = [f".deltaloop-{temporary._machine()}-{i:016x}.tmp" for i in range(4)]
    os.mkfifo(tmp_path / names[0])
    (tmp_path / names[1]).mkdir()
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    (tmp_path / names[2]).symlink_to(precious)
    (tmp_path / names[3]).symlink_to(tmp_path / "nowhere")
    assert save(tmp_path) == sorted([*names, "precious"])
    assert precious.read_bytes() == b"precious"


@POSIX
def test_nobody_else_reads_what_replaces_a_private_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    dl.Network([1, 1], seed=0).save(path)
    modes = []

    def fsync(descriptor, fsync=os.fsync):
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    for mode in (0o600, 0o644):
        path.chmod(mode)
        dl.Network([1, 1], seed=0).save(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
    assert modes == [0o600, 0o600]


class TestCheck:
    """A path is tried before the work whose result it shall hold."""

    def test_nothing_is_left(self, tmp_path):
        (tmp_path / "old").write_bytes(b"old")
        for name in ("old", "new"):
            atomic.check(str(tmp_path / name))
        assert os.listdir(tmp_path) == ["old"]
        assert (tmp_path / "old").read_bytes() == b"old"

    @pytest.mark.parametrize("kind", ["folder", "slash", "parent", "file", "long", "loop", "link"])
    def test_what_save_would_refuse(self, kind, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        (tmp_path / "folder").mkdir()
        if os.name == "posix":
            (tmp_path / "loop").symlink_to(tmp_path / "loop")
            (tmp_path / "link").symlink_to(tmp_path / "no" / "such")
        elif kind in ("loop", "link"):
            pytest.skip("links need privileges")
        path = {
            "folder": tmp_path / "folder",
            "slash": f"{tmp_path / 'folder'}{os.sep}",
            "parent": tmp_path / "missing" / "model",
            "file": tmp_path / "file" / "model",
            "long": tmp_path / ("x" * 300),
            "loop": tmp_path / "loop",
            "link": tmp_path / "link",
        }[kind]
        before = sorted(os.listdir(tmp_path))
        with pytest.raises(OSError, match=r".") as checked:
            atomic.check(str(path))
        with pytest.raises(OSError, match=r".") as saved:
            dl.Network([1, 1], seed=0).save(path)
        assert checked.value.errno == saved.value.errno
        assert checked.value.filename == saved.value.filename == str(path)
        assert sorted(os.listdir(tmp_path)) == before

    @POSIX
    def test_a_link_to_what_is_not_there_yet(self, tmp_path):
        (tmp_path / "link").symlink_to(tmp_path / "model")
        atomic.check(str(tmp_path / "link"))
        assert not (tmp_path / "model").exists()
        dl.Network([1, 1], seed=0).save(tmp_path / "link")
        assert (tmp_path / "link").is_symlink()
        assert dl.load(tmp_path / "model").layers == (1, 1)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
    def test_a_device(self):
        network = dl.Network([1, 1], seed=0)
        for name in ("/dev/null", "/dev/full"):
            atomic.check(name)
            assert stat.S_ISCHR(os.stat(name).st_mode)
        network.save("/dev/null")
        with pytest.raises(OSError, match="No space left") as caught:
            network.save("/dev/full")
        assert caught.value.filename == "/dev/full"

    @POSIX
    @pytest.mark.parametrize(
        ("name", "how"), [("/dev/stdout", "a"), ("/dev/fd/1", "w"), ("/proc/self/fd/1", "w")]
    )
    def test_a_stream_of_the_process(self, name, how, tmp_path):
        code = f"""
import os, sys
import deltaloop as dl
print("before")
sys.stdout.flush()
dl.Network([1, 1], seed=0).save({name!r})
print("after")
"""
        out = tmp_path / "out"
        out.write_bytes(b"first\n")
        with open(out, how) as file:
            subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
        dl.Network([1, 1], seed=0).save(tmp_path / "model")
        model = (tmp_path / "model").read_bytes()
        first = b"" if how == "w" else b"first\n"
        assert out.read_bytes() == first + b"before\n" + model + b"after\n"


def test_one_file_by_several_names(tmp_path):
    here = str(tmp_path / "a")
    assert atomic.is_same(here, os.path.join(str(tmp_path), ".", "a"))
    assert not atomic.is_same(here, str(tmp_path / "b"))
    Path(here).write_bytes(b"")
    assert atomic.is_same(here, here)
    if os.name == "posix":
        os.link(here, tmp_path / "b")
        assert atomic.is_same(here, str(tmp_path / "b"))
        assert not atomic.is_same("/dev/null", "/dev/null")
