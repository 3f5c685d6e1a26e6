#!/usr/bin/env python3
"""The steps of a release. CONTRIBUTING.md, "Release", lists them in their order.

    python .ci/release.py addresses https://HOST/OWNER/deltaloop https://DOCS   once, when known
    python .ci/release.py date 0.2.0 2027-01-31
    python .ci/release.py check
    python .ci/release.py distributions dist
    python .ci/release.py notes
    python .ci/release.py tag

Each step says what is wrong and changes nothing then. Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import datetime
import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\] - (?P<date>\S+)$", re.M)
NO_SOURCES = (".c", ".pyx", ".pxi", ".o", ".a")


class Problem(Exception):
    """What has to be mended before the release can go on."""


class Tree:
    """The files of a source tree that a release reads and writes."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8", newline="\n")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Problem(f"git {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    @property
    def project(self) -> dict:
        return tomllib.loads(self.read("pyproject.toml"))["project"]

    @property
    def version(self) -> str:
        return self.project["version"]

    def entry(self, version: str) -> tuple[str, str]:
        """Return the date and the text of a version in the changelog."""
        text = self.read("CHANGELOG.md")
        headings = list(HEADING.finditer(text))
        for heading, after in zip(headings, [*headings[1:], None], strict=True):
            if heading["version"] == version:
                end = after.start() if after else len(text)
                return heading["date"], text[heading.end() : end].strip()
        raise Problem(f"CHANGELOG.md: has no section ## [{version}] - DATE")

    def citation(self, key: str) -> str | None:
        """Return a value of CITATION.cff, which holds one on a line."""
        match = re.search(rf"^{key}: *[\"']?([^\"'\n]+)", self.read("CITATION.cff"), re.M)
        return match[1].strip() if match else None

    def cite(self, key: str, value: str) -> None:
        """Set a value of CITATION.cff; a new one stands behind the version."""
        text, line = self.read("CITATION.cff"), f"{key}: {value}"
        if self.citation(key) is None:
            text = re.sub(r"^(version: .*)$", rf"\1\n{line}", text, count=1, flags=re.M)
        else:
            text = re.sub(rf"^{key}: .*$", line, text, count=1, flags=re.M)
        self.write("CITATION.cff", text)


def addresses(tree: Tree, repository: str, documentation: str) -> None:
    """Write the public addresses into pyproject.toml and CITATION.cff."""
    for address in (repository, documentation):
        if not re.fullmatch(r"https://[\w.-]+\.\w+(/[\w./-]*)?", address):
            raise Problem(f"expected an address that begins with https://, got {address}")
    repository, documentation = repository.rstrip("/"), documentation.rstrip("/") + "/"
    lines = f"""\
[project.urls]
Homepage = "{documentation}"
Documentation = "{documentation}"
Source = "{repository}"
Issues = "{repository}/issues"
Changelog = "{repository}/blob/main/CHANGELOG.md"

"""
    text = re.sub(r"^\[project\.urls\]\n(.+\n)*\n", "", tree.read("pyproject.toml"), flags=re.M)
    marker = "[project.optional-dependencies]\n"
    if marker not in text:
        raise Problem(f"pyproject.toml: expected a line {marker.strip()}")
    tree.write("pyproject.toml", text.replace(marker, lines + marker, 1))
    tree.cite("url", documentation)
    tree.cite("repository-code", repository)


def date(tree: Tree, version: str, day: str) -> None:
    """Give the unreleased changes a version and a day, everywhere that names one."""
    if not VERSION.fullmatch(version):
        raise Problem(f"expected a version such as 1.2.3 or 1.2.3rc1, got {version}")
    datetime.date.fromisoformat(day)
    heading = r"^## \[[^\]]+\] - Unreleased$"
    changes, found = re.subn(
        heading, f"## [{version}] - {day}", tree.read("CHANGELOG.md"), flags=re.M
    )
    if found != 1:
        raise Problem(
            f"CHANGELOG.md: expected one heading '## [VERSION] - Unreleased', got {found}"
        )
    settings = tree.read("pyproject.toml")
    settings = re.sub(r'^version = ".*"$', f'version = "{version}"', settings, count=1, flags=re.M)
    tree.write("CHANGELOG.md", changes)
    tree.write("pyproject.toml", settings)
    tree.cite("version", version)
    tree.cite("date-released", day)


def problems(tree: Tree) -> list[str]:
    """Return what still has to be done before the tag, a sentence each."""
    version, found = tree.version, []
    try:
        day, text = tree.entry(version)
    except Problem as problem:
        day, text = "", str(problem)
        found.append(text)
    if day == "Unreleased":
        found.append(f"CHANGELOG.md: {version} has no date: run the step `date`")
    if day and not re.search(r"^- ", text, re.M):
        found.append(f"CHANGELOG.md: {version} has no entries")
    for key, wanted in (("version", version), ("date-released", day)):
        if tree.citation(key) != wanted and day != "Unreleased":
            found.append(f"CITATION.cff: {key} is {tree.citation(key)}, expected {wanted}")
    urls = tree.project.get("urls", {})
    if missing := [name for name in ("Homepage", "Documentation", "Source") if name not in urls]:
        found.append(f"pyproject.toml: no {', '.join(missing)} in urls: run `addresses`")
    elif tree.citation("repository-code") != urls["Source"]:
        found.append("CITATION.cff: repository-code is not the Source of pyproject.toml")
    if tree.git("status", "--porcelain"):
        found.append("git: there are changes that are not committed")
    if f"v{version}" in tree.git("tag", "--list").split():
        found.append(f"git: there is a tag v{version} already")
    return found


def check(tree: Tree) -> None:
    """Say whether all is ready for the tag."""
    if found := problems(tree):
        raise Problem("\n".join(found))
    print(f"{tree.version}: ready")


def distributions(tree: Tree, folder: Path) -> None:
    """Look into the sdist and the wheels: names, licences, dependencies, no sources."""
    found: list[str] = []
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if not wheels or len(sdists) != 1:
        found.append(f"{folder}: {len(wheels)} wheels and {len(sdists)} sdists, expected 1 sdist")
    for path in [*wheels, *sdists]:
        if path.name.split("-")[:2] != ["deltaloop", tree.version] and (
            path.name != f"deltaloop-{tree.version}.tar.gz"
        ):
            found.append(f"{path.name}: is not of version {tree.version}")
    for path in wheels:
        found += [f"{path.name}: {what}" for what in _problems_of_wheel(tree, path)]
    for path in sdists:
        with tarfile.open(path) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        needed = ("LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "csrc/mlp.h", "PKG-INFO")
        found += [f"{path.name}: has no {name}" for name in needed if name not in names]
    if found:
        raise Problem("\n".join(found))
    print(f"{len(wheels)} wheels and the sdist of {tree.version} are complete")


def _problems_of_wheel(tree: Tree, path: Path) -> list[str]:
    found = []
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(about))
    if sources := [name for name in names if name.endswith(NO_SOURCES)]:
        found.append(f"holds sources: {', '.join(sources)}")
    for end in (".dist-info/licenses/LICENSE", "deltaloop/py.typed", "deltaloop/data/README.md"):
        if not any(name.endswith(end) for name in names):
            found.append(f"has no {end}")
    if not any("/_core." in name and name.endswith((".so", ".pyd")) for name in names):
        found.append("has no compiled core")
    needs = [need for need in metadata.get_all("Requires-Dist") or [] if "extra ==" not in need]
    if sorted(needs) != sorted(tree.project["dependencies"]):
        found.append(f"requires {needs}, expected {tree.project['dependencies']}")
    if metadata["License-Expression"] != tree.project["license"]:
        found.append(f"its licence is {metadata['License-Expression']}")
    return found


def notes(tree: Tree) -> None:
    """Print what the changelog says of this version, for the page of the release."""
    print(tree.entry(tree.version)[1])


def tag(tree: Tree) -> None:
    """Make the tag of this version; it is not pushed."""
    check(tree)
    name = f"v{tree.version}"
    tree.git("tag", "--annotate", name, "--message", f"deltaloop {tree.version}")
    print(f"made the tag {name}; `git push origin {name}` starts .github/workflows/wheels.yml")


def main(arguments: list[str] | None = None, tree: Tree | None = None) -> int:
    """Run one step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("addresses", help=addresses.__doc__)
    step.add_argument("repository")
    step.add_argument("documentation")
    step = steps.add_parser("date", help=date.__doc__)
    step.add_argument("version")
    step.add_argument("day")
    steps.add_parser("check", help=check.__doc__)
    step = steps.add_parser("distributions", help=distributions.__doc__)
    step.add_argument("folder", type=Path)
    steps.add_parser("notes", help=notes.__doc__)
    steps.add_parser("tag", help=tag.__doc__)
    given = vars(parser.parse_args(arguments))
    try:
        globals()[given.pop("step")](tree or Tree(), **given)
    except (Problem, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
