"""Model files: every bit comes back, a failed save changes nothing, no file can do harm."""

from __future__ import annotations

import errno
import json
import os
import pickle
import stat
import struct
import sys
import tracemalloc
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from safetensors.numpy import load_file

import deltaloop as dl
from tests.helpers.files import (
    assembled,
    metadata_of,
    parts,
    refused,
    saved_state,
    with_metadata,
    with_tensor,
)
from tests.helpers.processes import run_python

DATA = Path(__file__).parent / "data"
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NETWORKS = {
    "xor": lambda: dl.Network([2, 2, 1], seed=1),
    "one layer": lambda: dl.Network([3, 4], activation="identity", seed=2),
    "relu, softmax": lambda: dl.Network([5, 7, 3], activation="relu", loss="cross_entropy", seed=3),
    "mixed": lambda: dl.Network(
        [4, 3, 6, 2, 2], activation=["tanh", "relu", "sigmoid"], output="tanh", init="he_normal"
    ),
    "sigmoid, cross-entropy": lambda: dl.Network([3, 2, 1], loss="cross_entropy", seed=0),
    "binary cross-entropy": lambda: dl.Network([3, 2, 4], loss="binary_cross_entropy", seed=0),
    "ten layers": lambda: dl.Network([2] * 12, activation="tanh", seed=4),
    "step, from weights": lambda: dl.Network.from_weights(
        [[[1, -1], [1, -1]], [[1], [1]]], [[-0.5, 1.5], [-1.5]], activation="step"
    ),
    "huge seed": lambda: dl.Network([2, 2, 1], seed=10**600 + 7),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """The bytes of a good file, of layers 2-3-1."""
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    dl.Network([2, 3, 1], activation="tanh", seed=5).save(path, metadata={"note": "a"})
    return path.read_bytes()


class TestRoundTrip:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_everything_comes_back(self, name, path):
        network = NETWORKS[name]()
        network.save(path)
        assert saved_state(dl.load(path)) == saved_state(network)

    def test_training_continues_with_the_same_bits(self, path):
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
        network = dl.Network([3, 5, 2], activation="tanh", seed=9)
        solver = dl.GradientDescent(0.01, momentum=0.5, batch_size=7)
        network.fit(X, Y, solver=solver, max_epochs=3, tol=0)
        network.save(path)
        loaded = dl.load(path)
        for each in (network, loaded):
            each.fit(X, Y, solver=solver, max_epochs=3, tol=0)
        assert saved_state(loaded) == saved_state(network)

    def test_values_at_the_ends_of_the_range(self, path):
        network = dl.Network([3, 2], activation="identity", seed=0)
        extreme = [-0.0, 5e-324, -5e-324, sys.float_info.max, -sys.float_info.max, 1.0, 0.1, -0.1]
        network.parameters = extreme
        network.save(path)
        assert dl.load(path).parameters.tobytes() == np.array(extreme).tobytes()

    def test_other_readers_see_the_tensors(self, path):
        network = dl.Network([2, 3, 1], seed=0)
        network.save(path)
        tensors = load_file(path)
        assert sorted(tensors) == ["biases.1", "biases.2", "weights.1", "weights.2"]
        for number, (w, b) in enumerate(zip(network.weights, network.biases, strict=True), 1):
            np.testing.assert_array_equal(tensors[f"weights.{number}"], w)
            np.testing.assert_array_equal(tensors[f"biases.{number}"], b)

    def test_header_is_what_the_format_says(self, content):
        header, data = parts(content)
        metadata = header["__metadata__"]
        position = metadata.pop("position")
        assert position.isdecimal()
        assert metadata == {
            "format": "deltaloop",
            "version": "1",
            "layers": "[2, 3, 1]",
            "activation": '["tanh"]',
            "output": "tanh",
            "loss": "squared_error",
            "init": '"glorot_uniform"',
            "seed": "5",
            "user.note": "a",
        }
        assert len(data) == 8 * 13

    @pytest.mark.parametrize("kind", [str, Path])
    def test_path_is_a_str_or_a_path(self, kind, path):
        dl.Network([1, 1], seed=0).save(kind(path))
        assert dl.load(kind(path)).layers == (1, 1)

    def test_long_file_name(self, tmp_path):
        path = tmp_path / ("m" * 250)
        dl.Network([1, 1], seed=0).save(path)
        assert dl.load(path).layers == (1, 1)

    def test_save_holds_two_copies_beside_the_network(self, path):
        network = dl.Network([1000, 1000, 10], activation="tanh", seed=0)
        tracemalloc.start()
        try:
            network.save(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2.5 * 8 * network.n_parameters

    def test_load_holds_one_copy_beside_the_network(self, path):
        network = dl.Network([1000, 1000, 10], activation="tanh", seed=0)
        network.save(path)
        network_bytes = 8 * network.n_parameters
        del network
        tracemalloc.start()
        try:
            dl.load(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 2.5 * network_bytes


class TestRecordedFiles:
    """Files as they were once written keep loading, and predict the same."""

    def test_version_1(self):
        network = dl.load(DATA / "version1.safetensors")
        assert saved_state(network)[:-1] == (
            (3, 4, 3, 2),
            ("tanh", "gelu"),
            "identity",
            dl.Huber(0.5),
            False,
            dl.Uniform(-0.5, 0.5),
            2026,
            74,
        )
        assert not network.residual
        np.testing.assert_allclose(
            network.predict(np.linspace(-1, 1, 6).reshape(2, 3)),
            [
                [-0.16862435214492535, -0.21648642432547108],
                [0.14612462230170856, -0.34338881332633564],
            ],
            rtol=1e-12,
        )
        note = "written as version 1 \N{EM DASH} a fixture"
        assert metadata_of(DATA / "version1.safetensors") == {"note": note}

    def test_version_2(self):
        network = dl.load(DATA / "version2.safetensors")
        assert saved_state(network)[:-1] == (
            (4, 4, 4, 3),
            ("relu", "relu"),
            "softmax",
            "cross_entropy",
            True,
            "he_uniform",
            7,
            44,
        )
        assert network.residual
        np.testing.assert_allclose(
            network.predict(np.linspace(-1, 1, 8).reshape(2, 4)),
            [
                [0.2805360078305718, 0.5531021164100174, 0.16636187575941075],
                [0.06052113482883714, 0.6001074593307589, 0.3393714058404039],
            ],
            rtol=1e-12,
        )

    def test_version_3(self):
        network = dl.load(DATA / "version3.safetensors")
        assert network.layers == (3, 3, 2)
        assert network.residual
        assert network.scaling == dl.Scaling(
            [1909.5, 180.5, -0.004691425427916562],
            [9.5, 180.5, 0.9952987811227869],
            [3180.5, 19 / 14],
            [180.5, 19 / 14],
            "minmax",
        )
        np.testing.assert_allclose(
            network.predict([[1905.0, 30.0, -0.5], [1910.0, 80.0, 0.25]]),
            [[3033.225210523053, 0.6932053464962793], [3103.0032149747094, 1.2252671753490463]],
            rtol=1e-12,
        )

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_written_again_they_are_the_same_bytes(self, version, path):
        recorded = DATA / f"version{version}.safetensors"
        dl.load(recorded).save(path, metadata=metadata_of(recorded))
        assert path.read_bytes() == recorded.read_bytes()


class TestMetadata:
    def test_none_is_empty(self, path):
        dl.Network([1, 1], seed=0).save(path)
        assert metadata_of(path) == {}

    @hypothesis.given(
        st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=8), st.randoms()
    )
    def test_any_text_comes_back_and_the_order_does_not_matter(
        self, tmp_path_factory, metadata, random
    ):
        path = tmp_path_factory.mktemp("metadata") / "model"
        network = dl.Network([1, 1], seed=0)
        network.save(path, metadata=metadata)
        content = path.read_bytes()
        assert metadata_of(path) == metadata
        assert dl.load(path).layers == (1, 1)
        shuffled = list(metadata.items())
        random.shuffle(shuffled)
        network.save(path, metadata=dict(shuffled))
        assert path.read_bytes() == content

    def test_a_users_key_cannot_replace_one_of_ours(self, path):
        dl.Network([1, 1], seed=0).save(path, metadata={"layers": "[9, 9]", "version": "2"})
        assert dl.load(path).layers == (1, 1)
        assert metadata_of(path) == {"layers": "[9, 9]", "version": "2"}

    @pytest.mark.parametrize(
        ("metadata", "match"),
        [
            ([("a", "b")], "metadata must be a mapping, got list"),
            ("text", "metadata must be a mapping, got str"),
            ({1: "b"}, "metadata keys must be str, got 1"),
            ({"a": 1.5}, r"metadata\['a'\] must be a str, got float"),
            ({"a": b"b"}, r"metadata\['a'\] must be a str, got bytes"),
            ({"a": None}, r"metadata\['a'\] must be a str, got NoneType"),
        ],
    )
    def test_wrong_types(self, metadata, match, path):
        with pytest.raises(TypeError, match=match):
            dl.Network([1, 1], seed=0).save(path, metadata=metadata)
        assert not path.exists()

    def test_text_without_an_encoding(self, path):
        with pytest.raises(ValueError, match=r"metadata\['a'\] has no UTF-8 encoding"):
            dl.Network([1, 1], seed=0).save(path, metadata={"a": "\ud800"})
        assert not path.exists()

    def test_more_than_load_accepts_is_not_written(self, path):
        with pytest.raises(ValueError, match=r"header of at most 524288 bytes.*take 10\d{5}"):
            dl.Network([1, 1], seed=0).save(path, metadata={"a": "x" * (1 << 20)})
        assert os.listdir(path.parent) == []

    def test_more_layers_than_load_accepts_are_not_written(self, path):
        network = dl.Network([1] * 1501, activation="tanh", seed=0)
        network.save(path)
        assert np.array_equal(dl.load(path).parameters, network.parameters)
        path.unlink()
        network = dl.Network([1] * 3400, activation="tanh", seed=0)
        message = r"too many layers for a model file, 3399 \(about 1,500 always fit\); use pickle"
        with pytest.raises(ValueError, match=message):
            network.save(path)
        assert os.listdir(path.parent) == []
        again = pickle.loads(pickle.dumps(network))
        assert np.array_equal(again.parameters, network.parameters)

    def test_more_parts_than_load_accepts_are_not_written(self, path):
        with pytest.raises(ValueError, match="at most 40000 values and brackets, found more"):
            dl.Network([1, 1], seed=0).save(path, metadata={str(i): "" for i in range(14_000)})
        assert os.listdir(path.parent) == []
        metadata = {str(i): '[{"," \\' for i in range(13_000)}
        dl.Network([1, 1], seed=0).save(path, metadata=metadata)
        assert metadata_of(path) == metadata

    def test_a_thousand_layers_are_written(self, path):
        network = dl.Network([2] * 1501, activation="leaky_relu", seed=0)
        network.save(path)
        assert saved_state(dl.load(path)) == saved_state(network)

    def test_nearly_the_limit_is_written(self, path):
        metadata = {"a": "x" * ((1 << 19) - 1000)}
        dl.Network([1, 1], seed=0).save(path, metadata=metadata)
        assert metadata_of(path) == metadata

    def test_of_a_file_that_is_no_model(self, path):
        path.write_bytes(b"no model")
        with pytest.raises(ValueError, match="safetensors"):
            metadata_of(path)


class TestSave:
    def test_same_bytes_in_every_process(self, tmp_path):
        code = (
            "import sys, deltaloop as dl\n"
            "metadata = {key: key for key in sys.argv[2:]}\n"
            "dl.Network([3, 4, 2], seed=3).save(sys.argv[1], metadata=metadata)\n"
        )
        contents = set()
        for run in range(3):
            path = tmp_path / f"model{run}"
            keys = [chr(ord("a") + i) for i in range(10)]
            run_python(code, path, *keys)
            contents.add(path.read_bytes())
        assert len(contents) == 1

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_parameters_must_be_finite(self, value, path, content):
        path.write_bytes(content)
        network = dl.Network([2, 3, 1], seed=0)
        network.weights[0][1, 2] = value
        message = rf"expected finite values in weights\.1, found {value} at \[1, 2\]"
        with pytest.raises(ValueError, match=message):
            network.save(path)
        network.weights[0][1, 2] = 0
        network.biases[1][0] = value
        message = rf"expected finite values in biases\.2, found {value} at \[0\]"
        with pytest.raises(ValueError, match=message):
            network.save(path)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
    def test_failure_while_writing_leaves_the_old_file(self, error, path, content, monkeypatch):
        def fail(descriptor):
            raise error

        path.write_bytes(content)
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(type(error)):
            dl.Network([2, 3, 1], seed=0).save(path)
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == [path.name]

    def test_failure_to_replace_leaves_the_old_file(self, path, content, monkeypatch):
        def fail(source, target):
            raise PermissionError(errno.EACCES, "denied", target)

        path.write_bytes(content)
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(PermissionError):
            dl.Network([2, 3, 1], seed=0).save(path)
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == [path.name]

    def test_the_new_file_is_complete_before_it_has_the_name(self, path, monkeypatch):
        replace = os.replace
        seen = []

        def check(source, target):
            assert os.path.dirname(source) == os.path.dirname(target)
            seen.append(dl.load(source).layers)
            replace(source, target)

        monkeypatch.setattr(os, "replace", check)
        dl.Network([2, 3, 1], seed=0).save(path)
        assert seen == [(2, 3, 1)]

    def test_directory(self, tmp_path):
        with pytest.raises(IsADirectoryError):
            dl.Network([1, 1], seed=0).save(tmp_path)
        assert os.listdir(tmp_path) == []

    def test_missing_directory(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            dl.Network([1, 1], seed=0).save(tmp_path / "missing" / "model")

    @pytest.mark.skipif(IS_ROOT, reason="root may write everything")
    def test_write_protected_file(self, path, content):
        path.write_bytes(content)
        path.chmod(0o444)
        with pytest.raises(PermissionError):
            dl.Network([1, 1], seed=0).save(path)
        assert path.read_bytes() == content

    @pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
    def test_permissions(self, path):
        before = os.umask(0o027)
        try:
            dl.Network([1, 1], seed=0).save(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        dl.Network([1, 1], seed=1).save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_something_else_than_a_file_is_not_replaced(self, path):
        os.mkfifo(path)
        with pytest.raises(ValueError, match="expected a regular file or a new name"):
            dl.Network([1, 1], seed=0).save(path)
        assert stat.S_ISFIFO(path.stat().st_mode)

    @pytest.mark.skipif(os.name != "posix", reason="links need privileges elsewhere")
    def test_a_link_stays_one(self, tmp_path):
        link, target = tmp_path / "link", tmp_path / "target"
        link.symlink_to(target)
        dl.Network([1, 1], seed=0).save(link)
        assert link.is_symlink()
        assert dl.load(target).layers == (1, 1)

    def test_seed_longer_than_load_accepts(self, path):
        with pytest.raises(ValueError, match="seed has more than 640 decimal digits"):
            dl.Network([1, 1], seed=10**640).save(path)
        assert not path.exists()


class TestPath:
    @pytest.mark.parametrize("path", [3, b"model", None, 1.5, ["model"]])
    def test_wrong_type(self, path):
        with pytest.raises(TypeError, match=f"path must be .* got {type(path).__name__}"):
            dl.load(path)
        with pytest.raises(TypeError, match=f"path must be .* got {type(path).__name__}"):
            dl.Network([1, 1], seed=0).save(path)

    def test_null_character(self):
        with pytest.raises(ValueError, match="null character"):
            dl.load("a\0b")

    def test_missing_file(self, path):
        with pytest.raises(FileNotFoundError) as caught:
            dl.load(path)
        assert caught.value.filename == str(path)

    def test_directory(self, tmp_path):
        with pytest.raises(IsADirectoryError) as caught:
            dl.load(tmp_path)
        assert caught.value.filename == str(tmp_path)

    @pytest.mark.skipif(IS_ROOT or os.name != "posix", reason="root may read everything")
    def test_unreadable_file(self, path, content):
        path.write_bytes(content)
        path.chmod(0)
        with pytest.raises(PermissionError):
            dl.load(path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_refused_at_once(self, path):
        os.mkfifo(path)
        with pytest.raises(ValueError, match="expected a regular file"):
            dl.load(path)


class Bomb:
    """Unpickling it creates the file it names."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


class TestHostileFiles:
    def test_the_helpers_make_good_files(self, content, path):
        path.write_bytes(assembled(*parts(content)))
        assert dl.load(path).layers == (2, 3, 1)

    def test_truncated_anywhere(self, content, path):
        for length in range(len(content)):
            refused(path, content[:length])

    def test_longer_than_it_says(self, content, path):
        for extra in (b"\0", b"\0" * 8, content):
            refused(path, content + extra)

    def test_other_files(self, path, tmp_path):
        marker = tmp_path / "ran"
        for other in (
            b"",
            b"0123456",
            b"01234567",
            b"\0" * 8,
            b"\0" * 1000,
            b"\xff" * 1000,
            b"<!doctype html><html><body>Not found</body></html>",
            b"\x93NUMPY\x01\x00" + b" " * 200,
            b"PK\x03\x04" + b" " * 200,
            pickle.dumps(Bomb(marker)),
            pickle.dumps({"layers": [2, 3, 1]}),
        ):
            refused(path, other)
        assert not marker.exists()

    @pytest.mark.parametrize("length", [0, 1, 1 << 20, 1 << 31, 1 << 63, (1 << 64) - 1])
    def test_header_length(self, content, path, length):
        refused(
            path,
            struct.pack("<Q", length) + content[8:],
            f"expected a safetensors header of 2 to {len(content) - 8} bytes, found .* {length}$",
        )

    def test_header_above_the_limit(self, content, path):
        header, data = parts(content)
        text = json.dumps(header).encode().ljust((1 << 19) + 1)
        refused(
            path,
            struct.pack("<Q", len(text)) + text + data,
            "header of 2 to 524288 bytes, found a length of 524289",
        )

    def test_key_that_is_there_twice(self, content, path):
        header, data = parts(content)
        text = json.dumps(header)
        entry = f', "weights.1": {json.dumps(header["weights.1"])}}}'
        metadata = text.replace('"layers": ', '"layers": "[9, 9]", "layers": ')
        for twice, key in ((text[:-1] + entry, "weights.1"), (metadata, "layers")):
            damaged = struct.pack("<Q", len(twice)) + twice.encode() + data
            refused(path, damaged, f"each key of the header once, found '{key}' twice")

    @pytest.mark.parametrize(
        "text",
        [
            b"{}",
            b"[]",
            b"null",
            b"{",
            b"  {}",
            b'{"a": 1}',
            b'{"__metadata__": 1}',
            b'{"__metadata__": {"format": 1}}',
            b"\xff\xfe\xfd",
            b"[" * 100_000,
            b'{"a":' * 100_000,
        ],
        ids=lambda text: repr(text[:20]),
    )
    def test_header_that_is_no_header(self, text, content, path):
        refused(path, struct.pack("<Q", len(text)) + text + parts(content)[1])

    def test_no_metadata(self, content, path):
        header, data = parts(content)
        del header["__metadata__"]
        message = "expected metadata with format 'deltaloop', found none"
        refused(path, assembled(header, data), message)

    def test_other_format(self, content, path):
        refused(
            path,
            with_metadata(content, format="pt"),
            "expected metadata with format 'deltaloop', found 'pt'",
        )

    @pytest.mark.parametrize("version", ["4", "17"])
    def test_future_version(self, content, path, version):
        refused(
            path,
            with_metadata(content, version=version, optimizer="x", layers="whatever"),
            f"expected file version 1 to 3, found {version}: it was written by a newer deltaloop",
        )

    @pytest.mark.parametrize("version", ["0", "01", "1.0", "-1", "", "one", None, "9" * 700])
    def test_other_versions(self, content, path, version):
        refused(path, with_metadata(content, version=version), "version")

    @pytest.mark.parametrize(
        "key", ["layers", "activation", "output", "loss", "init", "seed", "position"]
    )
    def test_missing_entry(self, content, path, key):
        refused(
            path,
            with_metadata(content, **{key: None}),
            f"exactly the metadata that the format calls for; missing: '{key}'; unexpected: none",
        )

    def test_unknown_entries(self, content, path):
        extra = {f"key{i}": "x" for i in range(9)}
        refused(
            path,
            with_metadata(content, **extra),
            "missing: none; unexpected: 'key0', 'key1', 'key2' and 6 more",
        )

    @pytest.mark.parametrize(
        "layers",
        [
            "",
            "2, 3, 1",
            "[2, 3, 1",
            "{}",
            "null",
            "7",
            "[]",
            "[2]",
            "[2, 0, 1]",
            "[2, -3, 1]",
            "[2, 3.0, 1]",
            "[2, true, 1]",
            '[2, "3", 1]',
            "[2, [3], 1]",
            "[2, 1e400, 1]",
            "[2, NaN, 1]",
            "[2, 9223372036854775808, 1]",
            "[2, " + "9" * 600 + "]",
            "[2, " + "9" * 5000 + "]",
            "[" * 200_000,
        ],
        ids=lambda text: text[:20],
    )
    def test_layers(self, content, path, layers):
        message = refused(path, with_metadata(content, layers=layers), "layers")
        assert "found" in message

    @pytest.mark.parametrize(
        "layers",
        [
            "[3, 3, 1]",
            "[2, 3, 1, 1]",
            "[2, 3]",
            "[4294967296, 4294967295]",
            "[4294967296, 4294967296, 1]",
            "[9223372036854775807, 9223372036854775807, 1]",
            "[2305843009213693952, 1]",
            "[" + "1, " * 1000 + "1]",
        ],
        ids=lambda text: text[:40],
    )
    def test_layers_that_the_data_cannot_fill(self, content, path, layers):
        activation = json.dumps(["tanh"] * (len(json.loads(layers)) - 2))
        tracemalloc.start()
        try:
            refused(path, with_metadata(content, layers=layers, activation=activation), "104 bytes")
            assert tracemalloc.get_traced_memory()[1] < 1e6
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("activation", "tanh"),
            ("activation", "[]"),
            ("activation", '["tanh", "tanh"]'),
            ("activation", '"tanh"'),
            ("activation", "[1]"),
            ("activation", "[null]"),
            ("activation", '["softmax"]'),
            ("activation", '["maxout"]'),
            ("activation", '["TANH"]'),
            ("activation", '[""]'),
            ("activation", "[" * 200_000),
            ("output", ""),
            ("output", "maxout"),
            ("output", "softmax"),
            ("output", '"tanh"'),
            ("loss", ""),
            ("loss", "hinge"),
            ("loss", "cross_entropy"),
            ("loss", "binary_cross_entropy"),
            ("init", ""),
            ("init", "glorot_uniform"),
            ("init", '"glorot"'),
            ("init", "7"),
            ("init", "[]"),
            ("init", "{"),
            ("seed", ""),
            ("seed", "-1"),
            ("seed", "+1"),
            ("seed", "01"),
            ("seed", " 1"),
            ("seed", "1\n"),
            ("seed", "1.0"),
            ("seed", "1e3"),
            ("seed", "0x10"),
            ("seed", "1_000"),
            ("seed", "٣"),
            ("seed", "None"),
            ("seed", "9" * 641),
            ("position", ""),
            ("position", "-1"),
            ("position", "1.5"),
            ("position", str(2**64)),
            ("position", "9" * 641),
        ],
        ids=lambda text: text[:20],
    )
    def test_entry(self, content, path, key, value):
        refused(path, with_metadata(content, **{key: value}), key)

    @pytest.mark.parametrize("text", ["\x1b[31m\n1", "x" * 100_000], ids=["escape", "long"])
    def test_messages_quote_the_file_with_care(self, content, path, text):
        for key in ("format", "version", "layers", "activation", "output", "loss", "init", "seed"):
            assert "\x1b" not in refused(path, with_metadata(content, **{key: text}))
        for key in ("activation", "init"):
            value = json.dumps([text] if key == "activation" else text)
            assert "\x1b" not in refused(path, with_metadata(content, **{key: value}))
        assert "\x1b" not in refused(path, with_metadata(content, **{text: "x"}))
        assert "\x1b" not in refused(path, with_tensor(content, "weights.1", dtype=text))
        header, data = parts(content)
        header[text] = header.pop("weights.1")
        assert "\x1b" not in refused(path, assembled(header, data))

    def test_missing_tensor(self, content, path):
        header, data = parts(content)
        header["weights.3"] = header.pop("weights.2")
        refused(
            path,
            assembled(header, data),
            r"exactly the tensors .*; missing: 'weights\.2'; unexpected: 'weights\.3'",
        )

    def test_extra_tensor(self, content, path):
        header, data = parts(content)
        end = len(data)
        extra = {"dtype": "F64", "shape": [1], "data_offsets": [end, end + 8]}
        refused(path, assembled(header | {"extra": extra}, data + b"\0" * 8), "112 bytes")
        extra = {"dtype": "F64", "shape": [0], "data_offsets": [end, end]}
        refused(path, assembled(header | {"extra": extra}, data), "unexpected: 'extra'")

    @pytest.mark.parametrize("dtype", ["I64", "U64", "F32", "F16", "BOOL", "F65", "", 8, None])
    def test_dtype(self, content, path, dtype):
        refused(path, with_tensor(content, "weights.1", dtype=dtype))

    def test_dtype_of_the_same_size(self, content, path):
        message = r"expected weights\.1 to be F64, found 'I64'"
        refused(path, with_tensor(content, "weights.1", dtype="I64"), message)

    @pytest.mark.parametrize("shape", [[3, 2], [6], [1, 6], [2, 3, 1], [6, 1]])
    def test_shape_of_the_same_size(self, content, path, shape):
        message = r"expected weights\.1 to have shape \(2, 3\), found"
        refused(path, with_tensor(content, "weights.1", shape=shape), message)

    @pytest.mark.parametrize(
        "shape",
        [
            [2, 2],
            [],
            [0],
            [-2, -3],
            [2.5, 3],
            ["2", "3"],
            None,
            [1 << 32, 1 << 32],
            [1 << 63, 2],
            [1 << 64, 0],
            [0, 1 << 63, 1 << 63],
        ],
        ids=str,
    )
    def test_shape(self, content, path, shape):
        refused(path, with_tensor(content, "weights.1", shape=shape))

    @pytest.mark.parametrize("name", ["weights.1", "weights.2", "biases.1", "biases.2"])
    @pytest.mark.parametrize(
        "change",
        [
            lambda begin, end: [begin + 8, end + 8],
            lambda begin, end: [begin - 8, end - 8],
            lambda begin, end: [end, begin],
            lambda begin, end: [begin, end + 8],
            lambda begin, end: [begin, end - 8],
            lambda begin, end: [begin + (1 << 40), end + (1 << 40)],
            lambda begin, end: [(1 << 64) - 8, end],
            lambda begin, end: [begin, 1 << 70],
            lambda begin, end: [begin],
            lambda begin, end: [0.5, end],
        ],
    )
    def test_offsets(self, content, path, name, change):
        offsets = parts(content)[0][name]["data_offsets"]
        refused(path, with_tensor(content, name, data_offsets=change(*offsets)))

    def test_all_tensors_at_the_same_place(self, content, path):
        header, data = parts(content)
        header["weights.2"]["data_offsets"] = header["biases.1"]["data_offsets"]
        refused(path, assembled(header, data))

    @pytest.mark.parametrize("name", ["weights.1", "weights.2", "biases.1", "biases.2"])
    def test_hole_before_a_tensor(self, name, content, path):
        header, data = parts(content)
        hole = header[name]["data_offsets"][0]
        for entry in header.values():
            if "data_offsets" in entry and entry["data_offsets"][0] >= hole:
                entry["data_offsets"] = [place + 8 for place in entry["data_offsets"]]
        refused(path, assembled(header, data[:hole] + bytes(8) + data[hole:]))

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("name", ["weights.1", "weights.2", "biases.1", "biases.2"])
    def test_values_that_are_not_finite(self, content, path, name, value):
        header, data = parts(content)
        _, end = header[name]["data_offsets"]
        damaged = data[: end - 8] + struct.pack("<d", value) + data[end:]
        message = rf"expected finite values in {name}, found {value} at \["
        refused(path, assembled(header, damaged), message)


@pytest.mark.parametrize("module", ["pickle", "_pickle"])
def test_loading_never_unpickles(module, path, monkeypatch):
    network = dl.Network([2, 3, 1], seed=0)
    network.save(path)

    def fail(*args, **kwargs):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler", "_load", "_loads", "_Unpickler"):
        monkeypatch.setattr(f"{module}.{name}", fail, raising=False)
    assert saved_state(dl.load(path)) == saved_state(network)
    path.write_bytes(pickle.dumps({"layers": [2, 3, 1]}))
    with pytest.raises(ValueError, match="safetensors"):
        dl.load(path)


def loads_or_is_refused(path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        network = dl.load(path)
    except ValueError:
        refused(path, content)
        return
    assert np.isfinite(network.parameters).all()
    assert network.predict(np.ones(network.layers[0])).shape == (network.layers[-1],)


MANGLING = hypothesis.settings(
    max_examples=300, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


@MANGLING
@hypothesis.given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=5))
def test_flipped_bytes(content, path, flips):
    mangled = bytearray(content)
    for place, bits in flips:
        mangled[min(int(place * len(mangled)), len(mangled) - 1)] ^= bits
    loads_or_is_refused(path, bytes(mangled))


@MANGLING
@hypothesis.given(st.floats(0, 1), st.floats(0, 1), st.binary(max_size=30))
def test_replaced_stretches(content, path, begin, end, new):
    begin, end = (int(place * len(content)) for place in sorted((begin, end)))
    loads_or_is_refused(path, content[:begin] + new + content[end:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@MANGLING
@hypothesis.given(st.data())
def test_replaced_parts_of_the_header(content, path, data):
    header, tensors = parts(content)
    key = data.draw(st.sampled_from(sorted(header)))
    if data.draw(st.booleans()):
        header[key] = data.draw(JSON)
    else:
        entry = data.draw(st.sampled_from(sorted(header[key])))
        value = data.draw(JSON)
        if key == "__metadata__":
            value = json.dumps(value)
        header[key][entry] = value
    loads_or_is_refused(path, assembled(header, tensors))
