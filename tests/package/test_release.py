"""The steps of a release on a copy of the files that they read and write."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / ".ci" / "release.py"
if not SCRIPT.exists():
    pytest.skip("not run from a source tree", allow_module_level=True)

# The keys of the Citation File Format 1.2.0 that a program uses.
CITATION_KEYS = {
    *("abstract", "authors", "cff-version", "date-released", "doi", "identifiers", "keywords"),
    *("license", "message", "repository-code", "title", "type", "url", "version"),
}


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["release"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["release"]


@pytest.fixture
def tree(release, tmp_path):
    """A copy that is its own repository, whose changelog has changes that are not released."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    for name in ("pyproject.toml", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / name, tmp_path / name)
    changes = tmp_path / "CHANGELOG.md"
    text = "# Changelog\n\n## [Next] - Unreleased\n\n### Added\n- A thing.\n\n"
    text += "## [0.0.1] - 2026-01-02\n\n- The first.\n"
    changes.write_text(text, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(
        re.sub(r"\[project\.urls\]\n(.+\n)*\n", "", (ROOT / "pyproject.toml").read_text("utf-8")),
        encoding="utf-8",
    )
    tree = release.Tree(tmp_path)
    tree.git("init", "--quiet", "--initial-branch=main")
    commit(tree)
    return tree


def commit(tree):
    tree.git("add", "--all")
    names = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    tree.git(*names, "commit", "--quiet", "--allow-empty", "--message", "state")


@pytest.fixture
def run(release, tree, capsys):
    def run(*arguments):
        status = release.main([str(argument) for argument in arguments], tree)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_all_steps(run, tree, monkeypatch):
    assert run("check")[0] == 1
    assert run("date", "0.2.0rc1", "2027-01-31") == (0, "", "")
    assert tree.entry("0.2.0rc1") == ("2027-01-31", "### Added\n- A thing.")
    assert tree.version == tree.citation("version") == "0.2.0rc1"
    assert tree.citation("date-released") == "2027-01-31"
    status, _, error = run("check")
    assert status == 1
    assert "no Homepage" in error
    assert "not committed" in error
    for _ in range(2):  # again changes nothing
        assert run("addresses", "https://git.example/a/deltaloop/", "https://docs.example")[0] == 0
    urls = tree.project["urls"]
    assert urls["Source"] == tree.citation("repository-code") == "https://git.example/a/deltaloop"
    assert urls["Documentation"] == "https://docs.example/"  # deltaloop.sklearn adds a page's name
    commit(tree)
    assert run("check") == (0, "0.2.0rc1: ready\n", "")
    assert run("notes") == (0, "### Added\n- A thing.\n", "")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "t")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "t@example.org")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "tag.gpgSign")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "false")
    assert run("tag")[0] == 0
    assert tree.git("tag", "--list") == "v0.2.0rc1"
    assert "there is a tag" in run("tag")[2]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (("date", "v0.2", "2027-01-31"), "a version such as 1.2.3"),
        (("date", "0.2.0", "31.1.2027"), "Invalid isoformat"),
        (("addresses", "git@host:a/b", "https://docs.example"), "begins with https://"),
    ],
)
def test_wrong_arguments_change_nothing(run, tree, step, told):
    status, _, error = run(*step)
    assert (status, told in error) == (1, True)
    assert tree.git("status", "--porcelain") == ""


def test_released_changes_are_not_released_again(run):
    assert run("date", "0.2.0", "2027-01-31")[0] == 0
    assert "expected one heading" in run("date", "0.3.0", "2027-02-01")[2]


# ---- what is uploaded ----


def wheel(folder, tree, *, more=(), without="", needs=None):
    needs = tree.project["dependencies"] if needs is None else needs
    lines = ["Metadata-Version: 2.4", "Name: deltaloop", f"Version: {tree.version}"]
    lines += ["License-Expression: BSD-3-Clause", *(f"Requires-Dist: {need}" for need in needs)]
    lines += ["Requires-Dist: tqdm>=4.64; extra == 'cli'", "", ""]
    info = f"deltaloop-{tree.version}.dist-info"
    files = {f"{info}/METADATA": "\n".join(lines), f"{info}/licenses/LICENSE": ""}
    files |= {
        "deltaloop/py.typed": "",
        "deltaloop/data/README.md": "",
        "deltaloop/_core.abi3.so": "",
    }
    files |= dict.fromkeys(more, "")
    path = folder / f"deltaloop-{tree.version}-cp311-abi3-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if not without or without not in name:
                archive.writestr(name, content)
    return path


def sdist(folder, tree, *names):
    path = folder / f"deltaloop-{tree.version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(f"deltaloop-{tree.version}/{name}")
            archive.addfile(member, io.BytesIO())


WHOLE = ("LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "csrc/mlp.h", "PKG-INFO")


def test_distributions(run, tree, tmp_path):
    folder = tmp_path / "dist"
    folder.mkdir()
    assert "0 wheels and 0 sdists" in run("distributions", folder)[2]
    sdist(folder, tree, *WHOLE)
    wheel(folder, tree)
    assert run("distributions", folder)[0] == 0
    wheel(folder, tree, more=["deltaloop/_core.pyx"], needs=["numpy"], without="LICENSE")
    sdist(folder, tree, *WHOLE[1:])
    error = run("distributions", folder)[2]
    for told in ("holds sources", "requires ['numpy']", "licenses/LICENSE", "has no LICENSE"):
        assert told in error
    wheel(folder, tree, without="_core")
    assert "no compiled core" in run("distributions", folder)[2]


# ---- the files of this tree ----


def test_the_citation_is_that_of_this_version(release):
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert set(re.findall(r"^([\w-]+):", text, re.M)) <= CITATION_KEYS
    tree = release.Tree(ROOT)
    assert tree.citation("version") == tree.version
    assert tree.citation("license") == tree.project["license"]
    assert tree.citation("cff-version") == "1.2.0"


def test_the_changelog_has_this_version(release):
    tree = release.Tree(ROOT)
    day, text = tree.entry(tree.version)
    assert day == "Unreleased" or day == tree.citation("date-released")
    titles = re.findall(r"^### (\w+)$", text, re.M)
    allowed = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    assert titles == [title for title in allowed if title in titles]


def test_the_steps_are_those_that_the_page_tells():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    told = re.findall(r"python \.ci/release\.py (\w+)", page)
    assert sorted(told) == sorted(["addresses", "date", "check", "distributions", "notes", "tag"])


def test_classifiers_name_the_pythons_of_the_wheels():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [line for line in settings["project"]["classifiers"] if ":: 3." in line]
    oldest = settings["project"]["requires-python"].removeprefix(">=")
    assert named[0].endswith(f":: {oldest}")
    assert not [line for line in settings["project"]["classifiers"] if line.startswith("License")]


def test_git_of_this_tree_has_no_generated_files():
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no repository")
    assert not re.findall(r"^(dist|build|docs/_build|docs/auto_gallery)/", done.stdout, re.M)
