"""What is installed: one version, typed, without sources, and documented throughout."""

import doctest
import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

import deltaloop

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(deltaloop.__file__).parent
DISTRIBUTION = importlib.metadata.distribution("deltaloop")
MODULES = [
    f"deltaloop.{module.name}"
    for module in pkgutil.iter_modules(deltaloop.__path__)
    if module.name != "__main__"
]


def _is_editable() -> bool:
    origin = json.loads(DISTRIBUTION.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))


def test_version_is_that_of_the_distribution():
    assert DISTRIBUTION.version == deltaloop.__version__


def test_version_is_that_of_the_source_tree():
    path = ROOT / "pyproject.toml"
    if not path.exists():
        pytest.skip("not run from a source tree")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"] == (
        deltaloop.__version__
    )


def test_package_is_typed():
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()


def test_wheel_holds_no_sources():
    if _is_editable():
        pytest.skip("an editable install shows the source tree")
    files = DISTRIBUTION.files
    assert files is not None
    suffixes = {path.suffix for path in files}
    assert not suffixes & {".pyx", ".pxd", ".c", ".h", ".o", ".a"}
    assert {path.parts[0] for path in files if path.suffix in (".so", ".pyd")} == {"deltaloop"}


def test_command_is_installed():
    scripts = DISTRIBUTION.entry_points.select(group="console_scripts", name="deltaloop")
    assert [script.value for script in scripts] == ["deltaloop.cli:main"]


def _public_objects() -> dict[str, object]:
    """Every public name of the package, and every public method and property of its classes."""
    found: dict[str, object] = {}
    for name in deltaloop.__all__:
        value = getattr(deltaloop, name)
        if isinstance(value, str):
            continue
        found[name] = value
        if inspect.isclass(value):
            for attribute, member in inspect.getmembers(value):
                inherited = not any(attribute in base.__dict__ for base in _own_bases(value))
                if attribute.startswith("_") or inherited:
                    continue
                if callable(member) or inspect.isdatadescriptor(member):
                    found[f"{name}.{attribute}"] = member
        elif inspect.ismodule(value):
            for attribute in getattr(value, "__all__", []):
                found[f"{name}.{attribute}"] = getattr(value, attribute)
    return found


def _own_bases(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.startswith("deltaloop")]


PUBLIC = _public_objects()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring(name):
    doc = inspect.getdoc(PUBLIC[name])
    assert doc
    assert doc.strip()


def _sections(doc: str) -> dict[str, str]:
    """The sections of a numpydoc docstring by title."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(doc), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _signature(value: object) -> inspect.Signature | None:
    if not callable(value):
        return None
    try:
        return inspect.signature(value)
    except ValueError:  # compiled, without a text signature
        return None


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_names_every_parameter(name):
    value = PUBLIC[name]
    signature = _signature(value)
    if signature is None or (inspect.isclass(value) and issubclass(value, Warning)):
        pytest.skip("takes no parameters")
    wanted = [parameter for parameter in signature.parameters if parameter != "self"]
    sections = _sections(inspect.getdoc(value) or "")
    described = sections.get("Parameters", "") + sections.get("Attributes", "")
    named = {
        entry.strip(" *")
        for line in re.findall(r"^([\w*, ]+?)(?: ?:.*)?$", described, flags=re.MULTILINE)
        for entry in line.split(",")
    }
    assert [parameter for parameter in wanted if parameter not in named] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring_tells_what_is_returned(name):
    value = PUBLIC[name]
    signature = _signature(value)
    if signature is None or inspect.isclass(value):
        pytest.skip("returns nothing")
    if signature.return_annotation in (None, "None", inspect.Signature.empty):
        pytest.skip("returns nothing")
    assert {"Returns", "Yields"} & set(_sections(inspect.getdoc(value) or ""))


@pytest.mark.parametrize("name", ["deltaloop", *MODULES])
def test_examples_of_docstrings(name):
    module = importlib.import_module(name)
    result = doctest.testmod(
        module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    assert result.failed == 0
