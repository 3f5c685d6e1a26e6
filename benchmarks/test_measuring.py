"""Turns are judged, runs go on where they were, processes answer, and pages keep their tables."""

from __future__ import annotations

import json
import os
import time

import by_numba
import cells
import environments
import machine
import measure
import pytest
import registry
import state
import table
from remote import Remote

XOR = next(cell for cell in cells.CELLS if cell.name == "gd-xor")


def test_turns_on_cores_count() -> None:
    turns = [[3.0, 1.0, 0.99], [1.0, 1.0, 0.97], [9.0, 1.0, 0.5], [2.0, 1.0, 0.95]]
    assert measure.settled(turns, 3) == {"seconds": 2.0, "busy": 1.0, "cores": True}


def test_too_few_turns_on_cores_are_told() -> None:
    turns = [[3.0, 1.0, 0.5], [1.0, 1.0, 0.5], [9.0, 1.0, 0.99], [2.0, 1.0, 0.5]]
    found = measure.settled(turns, 3)
    assert found["seconds"] == 2.0
    assert not found["cores"]


def test_a_look_without_a_second_thread_finds_a_core() -> None:
    assert state.cores(state.Spin(1).look())


def test_a_look_finds_a_share() -> None:
    spin = state.Spin(2)
    share = spin.look()
    assert 0.0 < share < 2.0
    assert "%" in state.words(share)


def test_a_turn_beside_others_does_not_count(monkeypatch) -> None:
    monkeypatch.setattr(state.Others, "many", lambda self: True)
    found = measure.measure_cell(XOR, [registry.Deltaloop(1)], turns=1, spin=state.Spin(1))
    assert [turn[2] for turn in found["deltaloop"]["turns"]] == [0.0, 0.0]
    assert not found["deltaloop"]["cores"]


class Looks(state.Spin):
    """Cores, but for the second look."""

    def __init__(self) -> None:
        super().__init__(1)
        self.looks = 0

    def look(self) -> float:
        self.looks += 1
        return 0.5 if self.looks == 2 else 1.0


def test_a_turn_in_the_other_state_is_taken_again(monkeypatch) -> None:
    monkeypatch.setattr(state.Others, "many", lambda self: False)
    found = measure.measure_cell(XOR, [registry.Deltaloop(1)], turns=2, spin=Looks())
    shares = [turn[2] for turn in found["deltaloop"]["turns"]]
    # The look is the end of one turn and the beginning of the next.
    assert shares == [0.5, 0.5, 1.0, 1.0]
    assert found["deltaloop"]["cores"]


def test_a_run_goes_on_with_its_file(tmp_path) -> None:
    path, about = tmp_path / "run.json", {"machine": "A, 2 CPUs"}
    assert measure.read(path, about, "build")["cells"] == {}
    written = measure.read(path, about, "build") | {"cells": {"gd-xor": {}}}
    measure.write(path, written)
    assert measure.read(path, about, "build")["cells"] == {"gd-xor": {}}
    with pytest.raises(SystemExit, match=r"run\.json is of something else \(machine\)"):
        measure.read(path, {"machine": "B, 2 CPUs"}, "build")
    with pytest.raises(SystemExit, match=r"\(build\)"):
        measure.read(path, about, "another")


def test_another_process_computes_and_takes_turns() -> None:
    remote = Remote(registry.NumpyScript, 1)
    session = remote.session()
    task = cells.task(XOR)
    assert measure.distance(session.begin(task), measure.expected(task)) <= measure.TOLERANCE
    took, _ = session.turn(session.calibrate(1))
    assert 0.0 < took < 1.0
    session.end()
    session.process.kill()
    session.process.wait()
    with pytest.raises(SystemExit, match="NumPy script, 1 thread: its process has ended"):
        session.turn(1)


def test_a_named_interpreter(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(environments, "chosen", {})
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    assert environments.interpreter("jax-0.6") is None
    python = tmp_path / "python"
    python.touch()
    environments.choose(f"jax-0.6={python}")
    assert environments.interpreter("jax-0.6") == str(python)
    with pytest.raises(SystemExit, match=r"NAME=PATH, with one of jax-0\.6"):
        environments.choose("jax")
    with pytest.raises(SystemExit, match="there is no"):
        environments.choose("jax-0.6=/nowhere")


@pytest.mark.parametrize(
    ("family", "model", "name"),
    [(25, 1, "Zen 3"), (25, 0x11, "Zen 4"), (25, 0x61, "Zen 4"), (26, 2, "Zen 5")],
)
def test_processors_by_family_and_model(family, model, name) -> None:
    about = f"vendor_id\t: AuthenticAMD\ncpu family\t: {family}\nmodel\t\t: {model}\n"
    assert machine.generation(about + "model name\t: AMD EPYC\n") == name


def test_other_processors_have_their_own_name() -> None:
    about = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Xeon\n"
    assert machine.generation(about) == "Xeon"


def run_of(name: str, own: float, peer: float, about: str) -> table.Run:
    entries = {
        "deltaloop": {"name": "deltaloop", "peer": False, "seconds": own},
        "numba": {"name": "numba", "peer": True, "seconds": peer},
    }
    for entry in entries.values():
        entry |= {"threads": 1, "variant": "", "cores": True}
    machine_of = {"settings": "none", "its instruction set": "base"}
    return table.Run(machine_of, {name: {"contenders": entries, "floor": None}}, None, about)


def test_words_tell_who_is_faster() -> None:
    words = table.short(run_of("lat-4-64-64-2", 2e-6, 6e-6, "Zen 4"))
    assert "2.00 µs; the best peer, numba, takes 3.0 times as long" in words
    assert "No peer is faster" in words
    words = table.short(run_of("lat-4-64-64-2", 2e-6, 1e-6, "Zen 4"))
    assert "2.00 µs; numba is faster, with 1.00 µs" in words
    assert "In 1 of them a peer is faster" in words


def test_each_processor_keeps_its_own_table(tmp_path) -> None:
    page = tmp_path / "page.md"
    five = f"{table.marker('Zen 5')}\nfive\n{table.END}"
    page.write_text(f"# Page\n\n## Zen 5\n{five}\n\n## After\n", encoding="utf-8")
    for text in ("first", "second"):
        page.write_text(table.section(page.read_text("utf-8"), "Zen 4"), encoding="utf-8")
        table.insert(page, text, table.marker("Zen 4"))
        four = f"## Zen 4\n{table.marker('Zen 4')}\n{text}\n{table.END}"
        assert page.read_text("utf-8") == f"# Page\n\n## Zen 5\n{five}\n\n{four}\n\n## After\n"


def test_programs_of_numba_are_python() -> None:
    for cell in cells.CELLS:
        for dots in (False, True):
            for lines in (by_numba.program(cell, dots), by_numba.prediction(cell, dots)):
                text = lines if isinstance(lines, str) else "\n".join(lines)
                compile(text, cell.name, "exec")


def test_a_file_of_measure_is_a_run(tmp_path) -> None:
    run = run_of("gd-xor", 1.0, 2.0, "")
    data = {"machine": {"machine": "AMD EPYC (Zen 4), 2 CPUs"}, "cells": run.cells, "memory": None}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    read = table.Run.read(path)
    assert read.about == "Zen 4"
    assert read.mean == pytest.approx(2.0)


def test_other_programs_are_noticed() -> None:
    # Of this process, which a list without it makes another.
    others, own = state.Others([]), state.Others([os.getpid()])
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    assert others.many() or not os.path.exists("/proc/stat")
    assert own.spent() - own.start[0] < others.spent() - others.start[0] or own.spent() == 0.0
