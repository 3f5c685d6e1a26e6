"""The examples of docs/reference/interchange.md, as far as their libraries are there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "interchange.md"
LIBRARIES = {
    "ONNX": ("onnx", "onnxruntime", "narwhals"),
    "scikit-learn": ("sklearn",),
    "PyTorch": ("torch",),
}


@pytest.mark.parametrize("title", LIBRARIES)
def test_examples(title):
    for library in LIBRARIES[title]:
        pytest.importorskip(library)
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    test = doctest.DocTestParser().get_doctest(section, {}, title, str(PAGE), 0)
    assert len(test.examples) > 3
    assert doctest.DocTestRunner().run(test).failed == 0
