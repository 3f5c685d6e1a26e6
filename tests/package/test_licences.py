"""The page on licences names every dependency, with its licence, and every file of data."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "licences.md"
if not (PAGE.exists() and (ROOT / "pyproject.toml").exists()):
    pytest.skip("not run from a source tree", allow_module_level=True)

# Words of a licence's metadata, by the name that the page gives it.
WORDS = {
    "MIT": r"\bMIT\b",
    "BSD": r"\bBSD\b|Enthought|Copyright \(C\) 2008-2023 Stefan van der Walt",
    "Apache": r"Apache",
    "MPL": r"\bMPL\b|Mozilla",
    "Python Software Foundation": r"Python Software Foundation|\bPSF\b",
}
# What is no code, nor a page, nor a setting.
DATA = [
    *(".avro", ".csv", ".feather", ".json", ".jsonl", ".mat", ".ods", ".parquet", ".tsv", ".xls"),
    *(".xlsx", ".bin", ".npy", ".npz", ".onnx", ".pickle", ".safetensors", ".gz", ".zip"),
    *(".gif", ".jpg", ".png", ".svg"),
]
# Folders that are generated, or another's.
LEFT_OUT = {"build", "dist", "_build", "auto_gallery", "generated", "node_modules", "findings"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("| ") for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")] for line in lines if "**" not in line]


LICENCES = {normal(name): licence for name, licence, _ in rows("Dependencies")}


def dependencies() -> set[str]:
    """The names of all that pyproject.toml asks for, in any extra and for the build."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    needs = [*settings["build-system"]["requires"], *project["dependencies"]]
    needs += [need for extra in project["optional-dependencies"].values() for need in extra]
    for group in settings.get("dependency-groups", {}).values():
        needs += [need for need in group if isinstance(need, str)]
    names = {normal(re.match(r"[\w.-]+", need)[0]) for need in needs}
    return names - {"deltaloop"}


def test_every_dependency_is_on_the_page():
    assert not dependencies() - set(LICENCES), "add it to docs/reference/licences.md"


def test_packages_say_the_same_of_themselves():
    told, other = 0, {}
    for name, licence in LICENCES.items():
        try:
            metadata = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        said = [metadata.get(key) or "" for key in ("License-Expression", "License")]
        said += [line for line in metadata.get_all("Classifier") or [] if "License ::" in line]
        wanted = [words for key, words in WORDS.items() if key in licence]
        assert wanted, licence
        if not any(re.search(words, "\n".join(said)) for words in wanted):  # of several parts
            other[name] = said
        told += 1
    assert not other
    assert told >= 2  # NumPy and safetensors


@pytest.mark.parametrize("name", ["GPL", "AGPL", "Proprietary"])
def test_no_licence_asks_for_more_than_ours_gives(name):
    assert not [package for package, licence in LICENCES.items() if name in licence]


def data_files() -> list[str]:
    """The files of data in the source tree, from its root."""
    found = []
    for top in ("src", "tests", "docs", "benchmarks", "csrc"):
        for path in (ROOT / top).rglob("*"):
            parts = path.relative_to(ROOT).parts
            if LEFT_OUT & set(parts) or any(part.startswith((".", "__")) for part in parts):
                continue
            if path.suffix in DATA and path.is_file():
                found.append("/".join(parts))
    return found


def covers(pattern: str, name: str) -> bool:
    """Whether a row is about a file; a star stands for names in one folder."""
    return pattern.count("/") == name.count("/") and PurePosixPath(name).match(pattern)


def test_every_file_of_data_is_on_the_page():
    patterns = [row[0].strip("`") for row in rows("Data")]
    files = data_files()
    assert "src/deltaloop/data/digits.npz" in files
    missing = [name for name in files if not any(covers(p, name) for p in patterns)]
    assert not missing, "add its source and licence to docs/reference/licences.md"
    unused = [p for p in patterns if not any(covers(p, name) for name in files)]
    assert not unused
    assert all(source and licence for _, _, source, licence in rows("Data"))


def test_the_package_names_the_sources_of_its_data():
    page = (ROOT / "src/deltaloop/data/README.md").read_text(encoding="utf-8")
    for path in (ROOT / "src/deltaloop/data").iterdir():
        if path.suffix in DATA:
            section = page.split(f"## {path.name}\n")[1].split("\n## ")[0]
            assert re.search(r"^\| source \| .*https://", section, re.M)
            assert re.search(r"^\| licence \| .*https://creativecommons.org", section, re.M)
