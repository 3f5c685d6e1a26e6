"""The objects of the C core, compiled once for all tests of their symbols."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.helpers.objects import compile_all


@pytest.fixture(scope="session")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Future[Path]]:
    return compile_all(tmp_path_factory.mktemp("objects"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Compiling takes 20 seconds, so what looks at the objects is slow."""
    for item in items:
        if "objects" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
