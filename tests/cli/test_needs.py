"""Which libraries a command asks for, and the extra that its message names where one is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.processes import run_python

OPTIONAL = ("fastexcel", "narwhals", "pandas", "polars", "pyarrow", "sklearn", "tqdm")

# Of Python itself: it is built without these where a library of the system is missing.
PARTS_OF_PYTHON = ("_bz2", "_ctypes", "_hashlib", "_lzma", "_sqlite3", "_ssl", "_tkinter")


@pytest.fixture
def without(monkeypatch):
    """Make imports fail as if a library were not installed."""

    def without(*names):
        for name in names:
            for loaded in [key for key in sys.modules if key.partition(".")[0] == name]:
                monkeypatch.delitem(sys.modules, loaded)
            monkeypatch.setitem(sys.modules, name, None)

    return without


def extras():
    path = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if not path.exists():
        pytest.skip("not run from a source tree")
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_digits_need_no_library_of_tables(without, run, tmp_path):
    without(*OPTIONAL)
    model = tmp_path / "digits.safetensors"
    status, out, _ = run("train", "digits", "--epochs", 1, "--output-model", model)
    assert (status, "10 classes" in out) == (0, True)
    assert run("info", model)[0] == 0


def test_a_python_that_was_built_without_some_parts_trains():
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({PARTS_OF_PYTHON}))\n"
        "from deltaloop.cli import main\n"
        "main(['train', 'digits', '--epochs', '1'])"
    )
    assert "10 classes" in run_python(code)


def test_sqlite_is_named_where_python_was_built_without_it(without, fails, tmp_path):
    pytest.importorskip("polars")
    path = tmp_path / "rows.db"
    path.write_bytes(b"SQLite format 3\0" + bytes(84))
    without("sqlite3")
    assert "needs Python's module sqlite3" in fails("train", path, "--target", "b")


@pytest.mark.parametrize("missing", ["polars", "narwhals"])
def test_tables_name_the_extra_that_has_the_library(missing, without, fails, tmp_path):
    pytest.importorskip({"polars": "narwhals", "narwhals": "polars"}[missing])
    without(missing)
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(20)))
    for data in (path, "penguins"):
        line = fails("train", data, "--target", "species" if data == "penguins" else "b")
        extra = re.fullmatch(rf".* needs? {missing}: pip install 'deltaloop\[(\w+)\]'", line)[1]
        assert any(need.startswith(missing) for need in extras()[extra])
        assert "import" not in line


def test_the_first_command_of_the_readme_installs_a_progress_bar_alone():
    assert [re.split(r"\W", need)[0] for need in extras()["cli"]] == ["tqdm"]
