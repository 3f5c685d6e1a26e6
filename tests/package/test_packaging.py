"""What is installed: one version, typed, without sources, and documented throughout."""

import contextlib
import doctest
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import pkgutil
import re
import sys
import tomllib
from pathlib import Path

import pytest

import deltaloop
import deltaloop.datasets
import deltaloop.plot

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(deltaloop.__file__).parent
DISTRIBUTION = importlib.metadata.distribution("deltaloop")
MODULES = [
    module.name
    for module in pkgutil.walk_packages(deltaloop.__path__, "deltaloop.")
    if module.name not in ("deltaloop.__main__", "deltaloop.runtime")  # an old path, which warns
]

OPTIONAL = (
    "dask",
    "distributed",
    "matplotlib",
    "mpi4py",
    "narwhals",
    "onnx",
    "polars",
    "sklearn",
    "torch",
)


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
    assert not suffixes & {".pyx", ".pxi", ".c", ".o", ".a"}
    public = {path.as_posix() for path in files if path.suffix in (".pxd", ".h")}
    assert public == {"deltaloop/mlp.pxd", "deltaloop/include/deltaloop.h"}
    assert {path.parts[0] for path in files if path.suffix in (".so", ".pyd")} == {"deltaloop"}


def test_bill_of_materials_names_what_is_installed_with_the_package():
    if _is_editable():
        pytest.skip("an editable install has no bill of materials")
    files = DISTRIBUTION.files
    assert files is not None
    (path,) = [path for path in files if path.match("*.dist-info/sboms/*.cdx.json")]
    bom = json.loads(path.read_text(encoding="utf-8"))
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["version"] == deltaloop.__version__
    needed = {
        re.match(r"[\w-]+", need)[0] for need in DISTRIBUTION.requires if "extra ==" not in need
    }
    assert needed == {"numpy", "safetensors"}
    assert {part["name"] for part in bom["components"]} == needed | {"cython"}


def test_command_is_installed():
    scripts = DISTRIBUTION.entry_points.select(group="console_scripts", name="deltaloop")
    assert [script.value for script in scripts] == ["deltaloop.cli:main"]


def _public_objects() -> dict[str, object]:
    """Every public name of the package, and every public method and property of its classes."""
    found: dict[str, object] = {}
    for module in (deltaloop, deltaloop.datasets, deltaloop.plot):
        for name, value in inspect.getmembers(module):
            here = getattr(value, "__module__", None) == module.__name__
            if name in getattr(module, "__all__", ()) or (here and not name.startswith("_")):
                found[name] = value
    del found["__version__"]
    for name, value in list(found.items()):
        if inspect.isclass(value):
            for attribute, member in inspect.getmembers(value):
                ours = any(attribute in base.__dict__ for base in _own_bases(value))
                used = callable(member) or inspect.isdatadescriptor(member)
                if ours and used and not attribute.startswith("_"):
                    found[f"{name}.{attribute}"] = member
    return found


def _own_bases(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.startswith("deltaloop")]


PUBLIC = _public_objects()


def _sections(doc: str) -> dict[str, str]:
    """The sections of a numpydoc docstring by title."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}$", inspect.cleandoc(doc), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _entries(value: object, *titles: str) -> set[str]:
    """The names described in these sections of a docstring: ``x, y : array`` gives x and y."""
    sections = _sections(inspect.getdoc(value) or "")
    text = "\n".join(sections.get(title, "") for title in titles)
    lines = re.findall(r"^([\w*, ]+?)(?: ?:.*)?$", text, flags=re.MULTILINE)
    return {name.strip(" *") for line in lines for name in line.split(",")}


def _signatures() -> dict[str, inspect.Signature]:
    """The signatures of what a user calls, where it has one."""
    found = {}
    for name, value in PUBLIC.items():
        if callable(value) and not (inspect.isclass(value) and issubclass(value, Warning)):
            with contextlib.suppress(ValueError):  # compiled, without a text signature
                found[name] = inspect.signature(value)
    return found


SIGNATURES = _signatures()
WITH_PARAMETERS = [name for name, of in SIGNATURES.items() if set(of.parameters) - {"self"}]
WITH_RESULT = [
    name
    for name, of in SIGNATURES.items()
    if not inspect.isclass(PUBLIC[name])
    and of.return_annotation not in (None, "None", inspect.Signature.empty)
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_is_documented(name):
    value = PUBLIC[name]
    owner, _, attribute = name.rpartition(".")
    if inspect.isdatadescriptor(value) and attribute in _entries(PUBLIC[owner], "Attributes"):
        return
    assert (inspect.getdoc(value) or "").strip()


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_docstring_names_every_parameter(name):
    described = _entries(PUBLIC[name], "Parameters", "Attributes")
    assert set(SIGNATURES[name].parameters) - {"self"} <= described


@pytest.mark.parametrize("name", WITH_RESULT)
def test_docstring_tells_what_is_returned(name):
    assert {"Returns", "Yields"} & set(_sections(inspect.getdoc(PUBLIC[name]) or ""))


@pytest.mark.parametrize(
    "name", [name for name in deltaloop.__all__ if callable(getattr(deltaloop, name))]
)
def test_public_name_has_an_example(name):
    value = getattr(deltaloop, name)
    members = vars(value).items() if inspect.isclass(value) else []
    methods = [key for key, m in members if inspect.isroutine(m) or isinstance(m, classmethod)]
    for key in methods:
        documented = key.startswith("_") or ">>>" in (inspect.getdoc(getattr(value, key)) or "")
        assert documented, key
    assert ">>>" in (inspect.getdoc(value) or "")


def _module(name):
    """Import a module, or skip the test where a library that it needs is not there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name not in OPTIONAL and "pip install 'deltaloop[" not in str(error):
            raise
        return pytest.skip(str(error))


def _needs(text):
    """Which optional libraries that are not installed an example uses."""
    uses = {
        name
        for name in OPTIONAL
        if re.search(rf"_{name}\(|(import|from) (deltaloop\.)?{name}", text)
    }
    if re.search(r"\.plot\(|dl\.plot", text):
        uses.add("matplotlib")
    if "tabular" in text:
        uses |= {"narwhals", "polars"}
    return {name for name in uses if importlib.util.find_spec(name) is None}


class _Finder(doctest.DocTestFinder):
    """Knows that the methods of a package's classes may be in the files of the package."""

    def _from_module(self, module, object):
        if inspect.isfunction(object) and module is not deltaloop:
            return f"{object.__module__}.".startswith(f"{module.__name__}.")
        return super()._from_module(module, object)


@pytest.mark.parametrize("name", ["deltaloop", *MODULES])
def test_examples_of_docstrings(name):
    runner = doctest.DocTestRunner(
        optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE, verbose=False
    )
    for test in _Finder().find(_module(name)):
        if not _needs(test.docstring or ""):
            runner.run(test)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    assert runner.failures == 0
