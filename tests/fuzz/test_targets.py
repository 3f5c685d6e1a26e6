"""Every fuzz target once over its corpus and over some mutations of it, without the fuzzer."""

from __future__ import annotations

import random
import warnings

import pytest

from tests.fuzz import mutate, seeds, targets

NEEDS = {
    "onnx_file": ("onnx",),
    "onnx_runtime": ("onnx", "onnxruntime"),
    "table_file": ("narwhals",),
    "table_description": ("narwhals",),
    "csv_file": ("polars",),
}
ALL = targets.TARGETS | targets.SLOW_TARGETS


@pytest.fixture
def target(request):
    for module in NEEDS.get(request.param, ()):
        pytest.importorskip(module)
    with warnings.catch_warnings():
        targets.prepare()
        yield request.param, ALL[request.param]


@pytest.mark.parametrize("target", ALL, indirect=True)
def test_the_corpus(target):
    name, function = target
    for content in seeds.SEEDS[name]():
        assert targets.problem(function, content) is None, content[:300]


@pytest.mark.parametrize("target", ALL, indirect=True)
def test_mutations(target):
    """The same ones every time."""
    name, function = target
    rng = random.Random(name)
    raw = mutate.bytes_changed(rng)
    corpus = list(seeds.SEEDS[name]())
    for _ in range(30 if name in targets.SLOW_TARGETS else 150):
        content = rng.choice(corpus)
        for _ in range(rng.choice([1, 1, 2, 4])):
            content = mutate.MUTATIONS[name](content, rng, raw, 1 << 14)
        assert targets.problem(function, content) is None, content[:300]


def refuse(content):
    raise ValueError("without the name of a file")


def warn(content):
    warnings.warn("unseen", UserWarning, stacklevel=1)


def think(content):
    sum(range(10**7))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [(refuse, "without the name"), (warn, "unseen"), (think, "of one processor")],
)
def test_what_is_found(wrong, told, monkeypatch):
    monkeypatch.setattr(targets, "MAX_SECONDS", 0.02)
    with warnings.catch_warnings():
        targets.prepare()
        assert told in targets.problem(wrong, b"")
        assert targets.problem(lambda content: None, b"") is None
