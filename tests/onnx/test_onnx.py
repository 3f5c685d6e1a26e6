"""ONNX files against ONNX Runtime, and the files of other exporters."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import compare, memory
from tests.helpers.files import refused_by, saved_state

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import deltaloop as dl  # noqa: E402
from deltaloop._onnx import protobuf  # noqa: E402
from deltaloop._onnx import write as _onnx  # noqa: E402
from deltaloop._onnx.activations import FORMS  # noqa: E402
from tests.helpers.graphs import run, saved  # noqa: E402

HIDDEN = [name for name in FORMS if name != "softmax"]
DOUBLE, FLOAT, INT64 = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def difference(found, expected):
    assert found.dtype == expected.dtype == np.float64
    return compare.difference(found, expected)


def points():
    """z of every size, on both sides of every threshold."""
    rng = np.random.default_rng()
    sizes = [10.0**k for k in (-320, -300, -100, -30, -16, -8, -3, 0, 1, 2, 3, 10, 100, 300)]
    z = [rng.normal(size=100) * size for size in sizes]
    z += [np.linspace(-60, 60, 5001), np.array([0.0, -0.0, 5e-324, 1.7e308, 745.2, 709.8, 760.0])]
    z = np.concatenate(z)
    return np.concatenate([z, -z]).reshape(-1, 1)


def test_activation_without_a_form_is_named(path, monkeypatch):
    monkeypatch.setitem(FORMS, "mish", ())
    net = dl.Network([1, 2, 2, 1], activation=["tanh", "mish"], seed=0)
    with pytest.raises(ValueError, match=r"mish units of layer 2 .*onnx=Operator"):
        net.to_onnx(path)
    assert not path.exists()


class TestPredictions:
    @pytest.mark.parametrize("activation", HIDDEN)
    def test_activations_everywhere(self, activation, path):
        one, zero = [[[1.0]], [[1.0]]], [[0.0], [0.0]]
        network = dl.Network.from_weights(one, zero, activation=activation, output="identity")
        network.to_onnx(path)
        X = points()
        assert difference(run(path, X)[0], network.predict(X)) < 1e-14

    @pytest.mark.parametrize(
        ("activation", "low", "bound"),
        [
            ("elu", -700, 1e-15),
            ("softplus", -700, 2e-15),
            ("gelu", -37, 1e-13),
            ("mish", -700, 2e-15),
        ],
    )
    def test_small_values_keep_their_digits(self, activation, low, bound, path):
        """Where exp(z) - 1, log(1 + exp(z)) and 1 + erf(z) would lose them."""
        network = dl.Network.from_weights([[[1.0]]], [[0.0]], output=activation)
        network.to_onnx(path)
        tiny = -np.logspace(-300, 0, 2000)
        X = np.concatenate([np.linspace(low, 0, 5000)[:-1], tiny, -tiny]).reshape(-1, 1)
        expected = network.predict(X)
        assert (abs(run(path, X)[0] - expected) <= bound * abs(expected)).all()

    @pytest.mark.parametrize("residual", [False, True])
    @pytest.mark.parametrize("output", ["same", "softmax", "identity"])
    @pytest.mark.parametrize("activation", HIDDEN)
    def test_networks(self, activation, output, residual, path):
        rng = np.random.default_rng()
        m0, width, n_outputs = rng.integers(2, 20, size=3)
        layers = [m0, width, width, n_outputs]
        network = dl.Network(
            layers, activation=activation, output={"same": activation}.get(output, output),
            residual=residual, init="lecun_normal", seed=rng,
        )  # fmt: skip
        network.parameters[:] *= 0.5
        network.to_onnx(path)
        for n in (1, 2, 33, 257):
            X = rng.normal(size=(n, m0))
            assert difference(run(path, X)[0], network.predict(X)) < 1e-12

    def test_wide_and_deep(self, path):
        rng = np.random.default_rng()
        network = dl.Network(
            [100, 300, 200, *[50] * 20, 3], activation="relu", residual=True, loss="cross_entropy",
            seed=rng,
        )  # fmt: skip
        network.to_onnx(path)
        X = rng.normal(size=(200, 100))
        assert difference(run(path, X)[0], network.predict(X)) < 1e-12
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    def test_without_hidden_layers(self, path):
        network = dl.Network([3, 1], activation="identity", seed=0)
        network.to_onnx(path)
        X = np.random.default_rng().normal(size=(5, 3))
        assert difference(run(path, X)[0], network.predict(X)) < 1e-15


class TestClasses:
    LABELS = (
        ([10, 20, 30], np.int64, [10, 20, 30]),
        ([0.0, 1.0, 4.0], np.int64, [0, 1, 4]),
        ([0.5, 1.5, 2.0], np.float64, [0.5, 1.5, 2.0]),
        (["a", "äö", ""], object, ["a", "äö", ""]),
        (np.array(["x", "y", "z"], dtype=object), object, ["x", "y", "z"]),
    )

    @pytest.mark.parametrize(("classes", "dtype", "expected"), LABELS)
    def test_several(self, classes, dtype, expected, path):
        network = dl.Network([4, 6, 3], activation="tanh", loss="cross_entropy", seed=None)
        X = np.random.default_rng().normal(size=(50, 4)) * 3
        _onnx.write(network, path, classes=classes)
        label, probabilities = run(path, X, ["label", "probabilities"])
        assert label.dtype == dtype
        assert label.tolist() == [expected[k] for k in network.classify(X)]
        assert difference(probabilities, network.predict(X)) < 1e-12
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    @pytest.mark.parametrize(
        ("classes", "expected"), [([False, True], [0, 1]), (["no", "yes"], ["no", "yes"])]
    )
    def test_two_of_one_output(self, classes, expected, path):
        network = dl.Network([4, 6, 1], activation="tanh", loss="cross_entropy", seed=None)
        X = np.random.default_rng().normal(size=(50, 4)) * 3
        _onnx.write(network, path, classes=classes)
        label, probabilities = run(path, X, ["label", "probabilities"])
        p = network.predict(X)
        assert label.tolist() == [expected[int(k)] for k in p[:, 0] > 0.5]
        assert difference(probabilities, np.hstack([1 - p, p])) < 1e-12
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    def test_several_labels(self, path):
        network = dl.Network([4, 6, 3], loss="binary_cross_entropy", seed=None)
        X = np.random.default_rng().normal(size=(50, 4)) * 3
        _onnx.write(network, path, multilabel=True)
        label, probabilities = run(path, X, ["label", "probabilities"])
        assert label.dtype == np.int64
        assert (label == (network.predict(X) > 0.5)).all()
        assert difference(probabilities, network.predict(X)) < 1e-12
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    def test_that_do_not_fit(self, path):
        network = dl.Network([4, 3], loss="cross_entropy", seed=0)
        for classes in ([1, 2], [1, 2, 3, 4], [[1, 2, 3]]):
            with pytest.raises(ValueError, match="classes must name 3 classes, got an array of"):
                _onnx.write(network, path, classes=classes)
        with pytest.raises(TypeError, match="classes must be integers, floats, booleans or str"):
            _onnx.write(network, path, classes=[None, b"a", {}])
        assert not path.exists()


class TestWriting:
    def test_what_the_file_says(self, path):
        network = dl.Network([3, 4, 2], activation="silu", seed=5)
        assert network.to_onnx(path) is None
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path, load_external_data=False)
        assert (model.ir_version, model.producer_name) == (8, "deltaloop")
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        for info, name, width in ((model.graph.input, "X", 3), (model.graph.output, "Y", 2)):
            assert [value.name for value in info] == [name]
            tensor = info[0].type.tensor_type
            assert tensor.elem_type == DOUBLE
            assert [dim.dim_param or dim.dim_value for dim in tensor.shape.dim] == ["n", width]
        tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        for number, (w, b) in enumerate(zip(network.weights, network.biases, strict=True), 1):
            assert tensors[f"weights.{number}"].raw_data == w.tobytes()
            assert tensors[f"biases.{number}"].raw_data == b.tobytes()
        assert {tensor.data_location for tensor in tensors.values()} == {0}
        assert os.listdir(path.parent) == [path.name]

    def test_every_operator_is_in_float64(self, path):
        for name in FORMS:
            dl.Network([2, 3, 2], activation="tanh", output=name, seed=0).to_onnx(path)
            model = onnx.shape_inference.infer_shapes(onnx.load(path))
            kinds = {value.type.tensor_type.elem_type for value in model.graph.value_info}
            assert kinds <= {DOUBLE, onnx.TensorProto.BOOL}

    def test_the_same_bytes_every_time(self, path):
        network = dl.Network([3, 4, 2], activation="gelu", seed=5)
        contents = set()
        for _ in range(2):
            network.to_onnx(path)
            contents.add(path.read_bytes())
        assert len(contents) == 1

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_parameters_must_be_finite(self, value, path):
        network = dl.Network([2, 3, 1], seed=0)
        network.weights[1][2, 0] = value
        with pytest.raises(ValueError, match=r"model\.onnx: expected finite .* weights\.2, found"):
            network.to_onnx(path)
        assert not path.exists()

    def test_more_than_a_file_holds(self, path, monkeypatch):
        network = dl.Network([2, 3, 1], seed=0)
        monkeypatch.setattr(_onnx, "MAX_WEIGHT_BYTES", 8 * network.n_parameters)
        network.to_onnx(path)
        monkeypatch.setattr(_onnx, "MAX_WEIGHT_BYTES", 8 * network.n_parameters - 1)
        with pytest.raises(ValueError, match="parameters of at most 103 bytes, as many as an ONNX"):
            network.to_onnx(path)

    def test_failure_leaves_the_old_file(self, path, monkeypatch):
        def fail(source, target):
            raise PermissionError(13, "denied", target)

        network = dl.Network([2, 3, 1], seed=0)
        network.to_onnx(path)
        before = path.read_bytes()
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(PermissionError) as caught:
            dl.Network([2, 3, 1], seed=1).to_onnx(path)
        assert caught.value.filename == str(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]

    def test_paths(self, tmp_path):
        network = dl.Network([2, 3, 1], seed=0)
        with pytest.raises(TypeError, match=r"path must be a str or .*, got int"):
            network.to_onnx(3)
        with pytest.raises(IsADirectoryError):
            network.to_onnx(tmp_path)
        with pytest.raises(FileNotFoundError):
            network.to_onnx(tmp_path / "missing" / "model.onnx")
        with pytest.raises(FileNotFoundError):
            dl.from_onnx(tmp_path / "missing.onnx")
        with pytest.raises(IsADirectoryError):
            dl.from_onnx(tmp_path)

    def test_without_onnx(self, path, monkeypatch):
        network = dl.Network([2, 3, 1], seed=0)
        network.to_onnx(path)
        monkeypatch.setitem(sys.modules, "onnx", None)
        for call in (lambda: network.to_onnx(path), lambda: dl.from_onnx(path)):
            with pytest.raises(ImportError, match=r"pip install 'deltaloop\[onnx\]'"):
                call()


class TestRoundTrip:
    @pytest.mark.parametrize("residual", [False, True])
    @pytest.mark.parametrize("output", FORMS)
    @pytest.mark.parametrize("activation", HIDDEN)
    def test_everything_comes_back(self, activation, output, residual, path):
        layers = [4, 4, 3, 3, 2]
        hidden = [activation, "tanh", activation]
        network = dl.Network(layers, activation=hidden, output=output, residual=residual)
        network.to_onnx(path)
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    @pytest.mark.parametrize(
        "settings",
        [
            {"loss": dl.Huber(0.3), "activation": "elu"},
            {"loss": dl.Quantile(0.9), "activation": "softplus", "init": dl.Uniform(-0.1, 0.2)},
            {"loss": "absolute_error", "seed": 10**600},
            {"loss": "poisson", "activation": "gelu"},
            {"loss": "binary_cross_entropy", "init": "nguyen_widrow"},
            {"loss": "squared_error", "output": "softmax", "activation": "silu"},
        ],
    )
    def test_what_a_graph_cannot_say(self, settings, path):
        network = dl.Network([3, 5, 2], **settings)
        network.to_onnx(path)
        assert saved_state(dl.from_onnx(path)) == saved_state(network)

    def test_training_continues_with_the_same_bits(self, path):
        rng = np.random.default_rng(0)
        X, Y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2))
        network = dl.Network([3, 5, 2], activation="tanh", seed=9)
        solver = dl.GradientDescent(0.01, batch_size=7)
        network.fit(X, Y, solver=solver, max_epochs=3, tol=0)
        network.to_onnx(path)
        loaded = dl.from_onnx(path)
        for each in (network, loaded):
            each.fit(X, Y, solver=solver, max_epochs=3, tol=0)
        assert saved_state(loaded) == saved_state(network)

    def test_loss_and_seed_can_be_given(self, path):
        network = dl.Network([3, 5, 1], activation="tanh", loss="cross_entropy", seed=9)
        network.to_onnx(path)
        loaded = dl.from_onnx(path, loss=dl.Huber(2.0), seed=4)
        assert (loaded.loss, loaded.output, loaded.seed) == (dl.Huber(2.0), "sigmoid", 4)
        assert loaded.parameters.tobytes() == network.parameters.tobytes()
        with pytest.raises(ValueError, match=r"model\.onnx: output must be .* loss='poisson'"):
            dl.from_onnx(path, loss="poisson")
        with pytest.raises(ValueError, match="loss must be one of"):
            dl.from_onnx(path, loss="hinge")

    def test_a_changed_graph_is_not_what_its_metadata_says(self, path):
        dl.Network([3, 5, 2], activation="tanh", seed=9).to_onnx(path)
        model = onnx.load(path)
        model.graph.node[1].op_type = "Sigmoid"
        onnx.save(model, path)
        with pytest.raises(ValueError, match="expected the graph that the model's metadata desc"):
            dl.from_onnx(path)
        del model.metadata_props[:]
        onnx.save(model, path)
        loaded = dl.from_onnx(path)
        assert (loaded.activation, loaded.loss) == (("sigmoid",), "squared_error")


# ---- graphs of others ----


def refused(path, match):
    return refused_by(dl.from_onnx, path, match)


W = np.array([[0.5, -1.0], [2.0, 0.25], [1.0, 3.0]])  # (3, 2)
B = np.array([0.5, -0.5])
F = np.float32


class TestOtherGraphs:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_gemm(self, dtype, path):
        tensors = {"w": W.T.astype(dtype), "b": B.astype(dtype)}
        settings = {"transB": 1, "alpha": 0.5, "beta": 2.0}
        saved(path, [("Gemm", "xwb", "y", settings)], tensors)
        network = dl.from_onnx(path, seed=1)
        np.testing.assert_array_equal(network.weights[0], 0.5 * W)
        np.testing.assert_array_equal(network.biases[0], 2 * B)
        assert (network.output, network.loss, network.seed) == ("identity", "squared_error", 1)
        saved(path, [("Gemm", "xw", "y", {})], {"w": W})
        network = dl.from_onnx(path)
        np.testing.assert_array_equal(network.weights[0], W)
        np.testing.assert_array_equal(network.biases[0], [0, 0])

    def test_float32_is_widened(self, path):
        values = np.random.default_rng().normal(size=(3, 2)).astype(F)
        saved(path, [("MatMul", "xw", "y", {})], {"w": values})
        np.testing.assert_array_equal(dl.from_onnx(path).weights[0], values.astype(np.float64))

    @pytest.mark.parametrize("shape", [(2,), (1, 2), (1,), (), (1, 1)])
    @pytest.mark.parametrize("order", ["zb", "bz"])
    def test_matmul_and_add(self, shape, order, path):
        biases = np.arange(1.0, 3.0)[: math.prod(shape)].reshape(shape)
        nodes = [("MatMul", "xw", "z", {}), ("Add", order, "y", {})]
        saved(path, nodes, {"w": W, "b": biases})
        expected = np.broadcast_to(biases, (1, 2))[0]
        np.testing.assert_array_equal(dl.from_onnx(path).biases[0], expected)

    def test_values_in_other_fields(self, path):
        make = onnx.helper.make_tensor
        for kind, dtype in ((FLOAT, F), (DOUBLE, np.float64)):
            tensors = {"w": make("w", kind, (3, 2), W.ravel()), "b": make("b", kind, (2,), B)}
            saved(path, [("Gemm", "xwb", "y", {})], tensors)
            np.testing.assert_array_equal(dl.from_onnx(path).weights[0], W.astype(dtype))

    def test_what_is_passed_over(self, path):
        tensor = onnx.numpy_helper.from_array(W.T.astype(F), "w")
        nodes = [
            ("Constant", "", "v", {"value": tensor}),
            ("Cast", "v", "u", {"to": DOUBLE}),
            ("Transpose", "u", "w", {"perm": [1, 0]}),
            ("Identity", "x", "i", {}),
            ("Flatten", "i", "f", {}),
            ("Cast", "f", "c", {"to": DOUBLE}),
            ("MatMul", "cw", "z", {}),
            ("Tanh", "z", "t", {}),
            ("Dropout", "t", "d", {}),
            ("Identity", "d", "e", {}),
            ("Gemm", "ep", "s", {}),
            ("Reshape", "sr", "y", {}),
        ]
        tensors = {"p": W[:2], "r": np.array([-1, 2])}
        for rank in (None, 1, 2, 4):
            network = dl.from_onnx(saved(path, nodes, tensors, rank=rank))
            assert (network.layers, network.activation) == ((3, 2, 2), ("tanh",))

    def test_two_sums_in_a_row(self, path):
        nodes = [("MatMul", "xw", "z", {}), ("MatMul", "zv", "y", {})]
        network = dl.from_onnx(saved(path, nodes, {"w": W, "v": W[:2]}))
        assert (network.activation, network.output) == (("identity",), "identity")

    @pytest.mark.parametrize(
        ("op", "attributes", "name"),
        [
            ("Sigmoid", {}, "sigmoid"),
            ("Tanh", {}, "tanh"),
            ("Relu", {}, "relu"),
            ("LeakyRelu", {}, "leaky_relu"),
            ("LeakyRelu", {"alpha": 0.01}, "leaky_relu"),
            ("Elu", {}, "elu"),
            ("Elu", {"alpha": 1.0}, "elu"),
            ("Softplus", {}, "softplus"),
            ("Exp", {}, "exp"),
            ("Softmax", {}, "softmax"),
            ("Softmax", {"axis": 1}, "softmax"),
            ("Gelu", {}, "gelu"),
            ("Gelu", {"approximate": "none"}, "gelu"),
            ("Swish", {}, "silu"),
            ("Mish", {}, "mish"),
        ],
    )
    def test_operators(self, op, attributes, name, path):
        nodes = [("MatMul", "xw", "z", {}), (op, "z", "y", attributes)]
        assert dl.from_onnx(saved(path, nodes, {"w": W})).output == name

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("halved", ["z", "sum", "product"])
    @pytest.mark.parametrize(("op", "power"), [("Div", 0.5), ("Mul", -0.5)])
    def test_gelu_of_erf(self, op, power, halved, dtype, path):
        tensors = {"w": W, "r": 2.0**power, "o": 1.0, "h": 0.5}
        tensors = {name: np.asarray(value, dtype) for name, value in tensors.items()}
        nodes = [("MatMul", "xw", "z", {}), (op, "zr", "s", {}), ("Erf", "s", "e", {})]
        nodes += {
            "z": [("Add", "oe", "a", {}), ("Mul", "hz", "b", {}), ("Mul", "ab", "y", {})],
            "sum": [("Add", "eo", "a", {}), ("Mul", "ah", "b", {}), ("Mul", "zb", "y", {})],
            "product": [("Add", "eo", "a", {}), ("Mul", "za", "b", {}), ("Mul", "bh", "y", {})],
        }[halved]
        assert dl.from_onnx(saved(path, nodes, tensors)).output == "gelu"
        tensors["r"] = np.asarray(2.0**power * (1 + 1e-6), dtype)
        refused(saved(path, nodes, tensors), r"node 'node_\w' \(\w+\) cannot be taken")

    def test_other_compositions(self, path):
        tensors = {"w": W, "o": np.array(0.0), "t": np.array(20.0)}
        layer = ("MatMul", "xw", "z", {})
        for name, nodes in {
            "relu": [("Max", "oz", "y", {})],
            "silu": [("Sigmoid", "z", "s", {}), ("Mul", "sz", "y", {})],
            "mish": [("Softplus", "z", "s", {}), ("Tanh", "s", "u", {}), ("Mul", "uz", "y", {})],
            "softplus": [
                ("Softplus", "z", "s", {}),
                ("Greater", "zt", "g", {}),
                ("Where", "gzs", "y", {}),
            ],
        }.items():
            assert dl.from_onnx(saved(path, [layer, *nodes], tensors)).output == name

    @pytest.mark.parametrize(
        ("op", "attributes", "shown"),
        [
            ("LeakyRelu", {"alpha": 0.2}, "LeakyRelu, alpha=0.2"),
            ("Elu", {"alpha": 0.5}, "Elu, alpha=0.5"),
            ("Gelu", {"approximate": "tanh"}, "Gelu, approximate='tanh'"),
            ("Softmax", {"axis": 0}, "Softmax, axis=0"),
            ("Swish", {"alpha": 2.0}, "Swish, alpha=2"),
            ("HardSwish", {}, "HardSwish"),
            ("Selu", {}, "Selu"),
            ("LogSoftmax", {}, "LogSoftmax"),
            ("Sin", {}, "Sin"),
            ("Neg", {}, "Neg"),
            ("Cast", {"to": INT64}, "Cast, to=7"),
            ("Transpose", {"perm": [1, 0]}, "Transpose"),
            ("Flatten", {"axis": 0}, "Flatten, axis=0"),
        ],
    )
    def test_other_operators_are_named(self, op, attributes, shown, path):
        nodes = [("MatMul", "xw", "z", {}), (op, "z", "a", attributes), ("MatMul", "av", "y", {})]
        message = refused(saved(path, nodes, {"w": W, "v": W[:2]}), "cannot be taken")
        assert f"node 'node_a' ({shown}) cannot be taken" in message

    def test_the_first_of_several_is_named(self, path):
        nodes = [
            ("MatMul", "xw", "z", {}),
            ("Sin", "z", "unused", {}),
            ("Relu", "z", "a", {}),
            ("Abs", "a", "b", {}),
            ("Cos", "b", "y", {}),
        ]
        refused(saved(path, nodes, {"w": W}), r"'node_b' \(Abs\) cannot be taken")

    @pytest.mark.parametrize(
        "nodes",
        [
            [("Relu", "x", "y", {})],
            [("Sub", "bx", "y", {})],
            [("MatMul", "wx", "y", {})],
            [("MatMul", "xx", "y", {})],
            [("Gemm", "xwb", "y", {"transA": 1})],
            [("Gemm", "xwb", "z", {}), ("Sub", "bz", "y", {})],
            [("MatMul", "xw", "z", {}), ("Pow", "zb", "y", {})],
            [("MatMul", "xw", "z", {}), ("Relu", "z", "a", {}), ("Tanh", "a", "y", {})],
            [("MatMul", "xw", "z", {}), ("Relu", "z", "a", {}), ("Add", "az", "y", {})],
            [("MatMul", "xw", "z", {}), ("Dropout", "zss", "y", {})],
            [("MatMul", "xw", "z", {}), ("Reshape", "zr", "y", {})],
        ],
        ids=lambda nodes: " ".join(node[0] for node in nodes),
    )
    def test_no_chain(self, nodes, path):
        tensors = {"w": W, "b": B, "s": np.array(0.5), "r": np.array([-1, 1])}
        refused(saved(path, nodes, tensors), r"node 'node_\w' \(\w+.*\) cannot be taken")

    def test_a_graph_without_layers(self, path):
        refused(saved(path, [("Identity", "x", "y", {})], {}), "a chain of layers, found none")
        refused(saved(path, [("Identity", "w", "y", {})], {"w": W}), "a chain of layers")

    def test_skip_connections(self, path):
        square = np.eye(3)
        nodes = [
            ("MatMul", "xs", "z", {}),
            ("Tanh", "z", "t", {}),
            ("Add", "xt", "a", {}),
            ("Gemm", "as", "u", {}),
            ("Add", "ua", "c", {}),
            ("Gemm", "cw", "y", {}),
        ]
        network = dl.from_onnx(saved(path, nodes, {"s": square, "w": W}))
        assert network.residual
        assert network.activation == ("tanh", "identity")
        assert network.layers == (3, 3, 3, 2)
        partly = [*nodes[:4], ("Gemm", "uw", "y", {})]
        refused(
            saved(path, partly, {"s": square, "w": W}),
            r"skip connections around all hidden layers .*\[1, 2\], or none, .* around \[1\]",
        )

    def test_outputs(self, path):
        nodes = [("MatMul", "xw", "y", {}), ("ArgMax", "y", "label", {})]
        saved(path, nodes, {"w": W}, outputs=("label", "y"))
        refused(path, "one output, or one of its outputs named probabilities or .*, found 2")
        refused(saved(path, nodes, {"w": W}, outputs=()), "found 0 outputs")
        refused(saved(path, nodes, {"w": W}, outputs=("z",)), "'z' used, which is neither")

    @pytest.mark.parametrize(
        ("layers", "output", "loss"),
        [
            ([2], "Sigmoid", "binary_cross_entropy"),
            ([1], "Sigmoid", "cross_entropy"),
            ([2], "Softmax", "cross_entropy"),
            ([2], "Exp", "poisson"),
            ([2], "Tanh", "squared_error"),
        ],
    )
    def test_loss_by_the_outputs(self, layers, output, loss, path):
        nodes = [("MatMul", "xw", "z", {}), (output, "z", "y", {})]
        network = dl.from_onnx(saved(path, nodes, {"w": W[:, : layers[0]]}))
        assert network.loss == loss

    def test_a_loss_gives_linear_outputs_their_activation(self, path):
        saved(path, [("MatMul", "xw", "y", {})], {"w": W})
        for loss, output in (
            ("cross_entropy", "softmax"),
            ("binary_cross_entropy", "sigmoid"),
            ("poisson", "exp"),
            (dl.Huber(), "identity"),
        ):
            network = dl.from_onnx(path, loss=loss)
            assert (network.loss, network.output) == (loss, output)


@pytest.mark.filterwarnings("ignore")
class TestSklearnOnnx:
    @pytest.mark.parametrize("zipmap", [False, True])
    @pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
    @pytest.mark.parametrize("labels", [[0, 1], ["a", "b", "c"]])
    def test_classifiers(self, activation, labels, zipmap, path):
        skl2onnx = pytest.importorskip("skl2onnx")
        from sklearn.neural_network import MLPClassifier

        rng = np.random.default_rng()
        X, y = rng.normal(size=(60, 4)), rng.choice(labels, size=60)
        estimator = MLPClassifier((5, 6), activation=activation, max_iter=2).fit(X, y)
        kind = F if zipmap else np.float64  # a ZipMap takes float32 alone
        model = skl2onnx.to_onnx(estimator, X[:1].astype(kind), options={"zipmap": zipmap})
        path.write_bytes(model.SerializeToString())
        network = dl.from_onnx(path)
        assert network.layers == (4, 5, 6, 1 if len(labels) == 2 else 3)
        for w, theirs in zip(network.weights, estimator.coefs_, strict=True):
            np.testing.assert_array_equal(w, theirs.astype(kind))
        expected = estimator.predict_proba(X)[:, -network.layers[-1] :]
        np.testing.assert_allclose(network.predict(X), expected, atol=1e-6 if zipmap else 1e-12)

    @pytest.mark.parametrize("n_labels", [2, 3])
    def test_pipelines_of_several_labels(self, n_labels, path):
        skl2onnx = pytest.importorskip("skl2onnx")
        from sklearn.neural_network import MLPClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        X = np.random.default_rng(0).normal(5.0, 3.0, size=(60, 4)).astype(F)
        model = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=2))
        model.fit(X, (X[:, :n_labels] > 5).astype(int))
        exported = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
        path.write_bytes(exported.SerializeToString())
        network = dl.from_onnx(path)
        assert network.layers == (4, 5, n_labels)
        np.testing.assert_allclose(network.predict(X), model.predict_proba(X), atol=1e-6)

    def test_regressors(self, path):
        skl2onnx = pytest.importorskip("skl2onnx")
        from sklearn.neural_network import MLPRegressor

        X = np.random.default_rng().normal(size=(60, 4))
        estimator = MLPRegressor(hidden_layer_sizes=(5,), max_iter=2).fit(X, X[:, 0])
        path.write_bytes(skl2onnx.to_onnx(estimator, X[:1]).SerializeToString())
        predicted = dl.from_onnx(path).predict(X).ravel()
        np.testing.assert_allclose(predicted, estimator.predict(X), atol=1e-12)

    def test_ours_says_what_theirs_does(self, path):
        skl2onnx = pytest.importorskip("skl2onnx")
        from sklearn.neural_network import MLPClassifier

        rng = np.random.default_rng()
        X, y = rng.normal(size=(60, 4)), rng.choice(["a", "b", "c"], size=60)
        estimator = MLPClassifier((5,), max_iter=2).fit(X, y)
        model = skl2onnx.to_onnx(estimator, X[:1], options={"zipmap": False})
        theirs = run(model.SerializeToString(), X, ["label", "probabilities"])
        _onnx.write(dl.from_sklearn(estimator), path, classes=estimator.classes_)
        ours = run(path, X, ["label", "probabilities"])
        assert ours[0].tolist() == theirs[0].tolist() == estimator.predict(X).tolist()
        assert difference(ours[1], theirs[1]) < 1e-12


@pytest.mark.filterwarnings("ignore")
class TestTorch:
    @pytest.mark.parametrize(
        "options",
        [
            {"dynamo": False, "opset_version": 9},
            {"dynamo": False, "opset_version": 17},
            {"dynamo": False, "opset_version": 20},
            {"dynamo": True, "external_data": False},
        ],
        ids=str,
    )
    def test_export(self, options, path):
        torch = pytest.importorskip("torch")
        if options["dynamo"]:
            pytest.importorskip("onnxscript")
        nn = torch.nn
        module = nn.Sequential(
            nn.Flatten(), nn.Linear(6, 5), nn.GELU(), nn.Dropout(0.5),
            nn.Linear(5, 4, bias=False), nn.SiLU(), nn.Linear(4, 4), nn.ELU(),
            nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 4), nn.LeakyReLU(),
            nn.Linear(4, 4), nn.Mish(),
            nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(),
            nn.Linear(4, 4), nn.Linear(4, 3), nn.Softmax(-1),
        ).eval()  # fmt: skip
        x = torch.randn(7, 6)
        torch.onnx.export(module, (x,), str(path), verbose=False, **options)
        network = dl.from_onnx(path)
        assert network.activation == (
            "gelu", "silu", "elu", "softplus", "leaky_relu", "mish", "sigmoid", "relu", "tanh",
            "identity",
        )  # fmt: skip
        parameters = dl.from_torch(module).parameters
        np.testing.assert_array_equal(network.parameters, parameters)
        expected = module(x).detach().numpy()
        np.testing.assert_allclose(network.predict(x.numpy()), expected, atol=1e-5)


# ---- hostile files ----


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.onnx"
    dl.Network([2, 3, 1], activation="elu", seed=5).to_onnx(path)
    return path.read_bytes()


def loads_or_is_refused(path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        network = dl.from_onnx(path)
    except ValueError:
        refused(path, "expected|damaged|found|needs|must")
        return
    assert np.isfinite(network.parameters).all()


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


class TestHostileFiles:
    def test_truncated(self, content, path):
        loads_or_is_refused(path, content)
        for length in range(0, len(content), 3):
            loads_or_is_refused(path, content[:length])
        for length in range(content.index(b"weights.1")):
            path.write_bytes(content[:length])
            refused(path, "expected|damaged|found|needs|must")

    def test_flipped_bytes(self, content, path):
        rng = np.random.default_rng()
        for _ in range(500):
            damaged = np.frombuffer(content, np.uint8).copy()
            places = rng.integers(len(damaged), size=rng.integers(1, 5))
            damaged[places] ^= rng.integers(1, 256, size=len(places), dtype=np.uint8)
            loads_or_is_refused(path, damaged.tobytes())

    def test_replaced_stretches(self, content, path):
        rng = np.random.default_rng()
        for _ in range(300):
            begin, end = sorted(rng.integers(len(content), size=2))
            loads_or_is_refused(path, content[:begin] + rng.bytes(rng.integers(20)) + content[end:])

    @pytest.mark.parametrize(
        "other",
        [
            b"",
            b"\0",
            b"\0" * 1000,
            b"\xff" * 1000,
            b"<!doctype html><html>",
            b"\x80\x04\x95 pickle",
            b"\x08\x08",
            b"\x3a\xff\xff\xff\xff\x7f",  # a graph of 34 GB
            b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        ],
        ids=lambda content: repr(content[:20]),
    )
    def test_other_files(self, other, path):
        path.write_bytes(other)
        refused(path, "expected|damaged")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_refused_at_once(self, path):
        os.mkfifo(path)
        refused(path, "expected a regular file")

    def test_a_file_that_is_too_long(self, path):
        with open(path, "wb") as file:
            file.truncate(1 << 31)
        refused(path, "expected a file of 1 to 2147483647 bytes, found 2147483648")

    @pytest.mark.parametrize(
        "dims", [[3], [2, 3, 1], [3, 3], [], [-3, -2], [1 << 62, 1 << 62], [0]]
    )
    @pytest.mark.parametrize("raw", [True, False])
    def test_dimensions(self, dims, raw, path):
        tensor = onnx.numpy_helper.from_array(W, "w")
        if not raw:
            tensor = onnx.helper.make_tensor("w", DOUBLE, (3, 2), W.ravel())
        tensor.ClearField("dims")
        tensor.dims.extend(dims)
        saved(path, [("MatMul", "xw", "y", {})], {"w": tensor})
        refused(path, "initializer 'w'|node 'node_y' .*: expected weights that are a matrix")

    @pytest.mark.parametrize("location", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
    def test_nothing_beside_the_file_is_read(self, location, path):
        path.with_name("weights.bin").write_bytes(W.tobytes())
        tensor = onnx.numpy_helper.from_array(W, "w")
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
        saved(path, [("MatMul", "xw", "y", {})], {"w": tensor})
        refused(path, "'w' is in another file, which is not read")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, value, path):
        weights = W.copy()
        weights[1, 1] = value
        saved(path, [("MatMul", "xw", "y", {})], {"w": weights})
        refused(path, r"weights\[0\]")

    @pytest.mark.parametrize("kind", [np.int64, np.int32, np.bool_])
    def test_weights_of_other_types(self, kind, path):
        saved(path, [("MatMul", "xw", "y", {})], {"w": W.astype(kind)})
        refused(path, "node 'node_y' .*(matrix of floats|cannot be taken)")

    @pytest.mark.parametrize(
        ("nodes", "match"),
        [
            ([("Relu", "y", "z", {}), ("Relu", "z", "y", {})], "'y' used, which is neither an"),
            ([("MatMul", "xv", "y", {})], "'v' used, which is neither an input nor"),
            ([("Relu", "y", "y", {})], "'y' used"),
            ([("MatMul", "xw", "y", {}), ("Relu", "y", "y", {})], "once, found 'y' twice"),
            ([("MatMul", "xw", "w", {})], "once, found 'w' twice"),
            ([("MatMul", "xw", "z", {}), ("MatMul", "zw", "y", {})], "of 2 rows, found"),
            ([("Gemm", "xwu", "y", {})], "expected 2 biases, found shape"),
            ([("Gemm", "xwt", "y", {})], "expected 2 biases|of one row"),
        ],
        ids=str,
    )
    def test_graphs(self, nodes, match, path):
        tensors = {"w": W, "u": np.ones(3), "t": np.ones((2, 1))}
        refused(saved(path, nodes, tensors), match)

    def test_functions(self, path):
        nodes = [("MatMul", "xw", "z", {}), ("Relu", "z", "y", {})]
        opsets = [onnx.helper.make_opsetid("", 17)]
        body = [onnx.helper.make_node("Neg", ["a"], ["b"])]
        for domain in ("", "of.ours"):
            function = onnx.helper.make_function(domain, "Relu", ["a"], ["b"], body, opsets)
            saved(path, nodes, {"w": W}, functions=[function])
            if domain:
                assert dl.from_onnx(path).output == "relu"
            else:
                refused(path, "the operators of ONNX, found 'Relu' with another meaning")
        model = onnx.load(path)
        model.graph.node[1].domain = "of.ours"
        path.write_bytes(model.SerializeToString())
        refused(path, r"node 'node_y' \(of.ours.Relu\) cannot be taken")

    def test_inputs(self, path):
        nodes = [("MatMul", "xw", "y", {})]
        info = [onnx.helper.make_tensor_value_info(name, FLOAT, [None, 3]) for name in "xz"]
        refused(saved(path, nodes, {"w": W}, inputs=info), "a graph of one input, found 2")
        refused(saved(path, nodes, {"w": W}, inputs=[info[1]]), "'x' used")
        saved(path, nodes, {"w": W}, inputs=[info[0]])  # with an initializer as an input, as before
        refused(saved(path, nodes, {"w": W}, rank=3), "expected inputs of 2 dimensions, found 3")
        refused(saved(path, nodes, {"w": W}, opset=6), "opset 7 or newer")

    @pytest.mark.parametrize(
        ("key", "value", "match"),
        [
            ("layers", "[" * 100_000, "layers"),
            ("layers", "[2, 3, 2]", "the graph that the model's metadata describes"),
            ("activation", '["tanh"]', "the graph that the model's metadata describes"),
            ("loss", "hinge", "loss must be one of"),
            ("loss", "cross_entropy", "cross_entropy"),
            ("init", '"\x1b"', "init"),
            ("seed", "-1", "seed"),
            ("position", "x" * 100_000, "position"),
            ("version", "99", "newer deltaloop"),
            ("residual", "true", "unexpected: 'residual'"),
            ("\x1b" * 1000, "", "unexpected"),
            ("format", None, "expected metadata with format 'deltaloop', found none"),
            ("seed", None, "missing: 'seed'"),
        ],
        ids=lambda text: str(text)[:20],
    )
    def test_metadata(self, key, value, match, content, path):
        model = onnx.load_from_string(content)
        entries = {entry.key: entry.value for entry in model.metadata_props}
        del model.metadata_props[:]
        entries.pop(f"deltaloop.{key}", None)
        if value is not None:
            entries[f"deltaloop.{key}"] = value
        onnx.helper.set_model_props(model, entries)
        path.write_bytes(model.SerializeToString())
        assert "\x1b" not in refused(path, match)

    def test_metadata_that_is_there_twice(self, content, path):
        model = onnx.load_from_string(content)
        model.metadata_props.add(key="deltaloop.seed", value="3")
        path.write_bytes(model.SerializeToString())
        refused(path, "each key of the metadata once, found 'seed' twice")

    def test_names_are_quoted_with_care(self, path):
        name = "\x1b[31m\n" + "x" * 10_000
        tensors = {"w": W, "v": onnx.helper.make_tensor("w" + name, DOUBLE, (3,), [1, 2, 3])}
        tensors["v"].dims[0] = 5
        assert "\x1b" not in refused(saved(path, [], tensors), "needs 5 values, found 3")
        node = ("MatMul", ("x", name), "y", {})
        assert "\x1b" not in refused(saved(path, [node], {}), "used, which is neither")
        model = onnx.load(saved(path, [("MatMul", "xw", "z", {}), ("Sin", "z", "y", {})], {"w": W}))
        model.graph.node[1].op_type = model.graph.node[1].name = name
        path.write_bytes(model.SerializeToString())
        assert "\x1b" not in refused(path, "cannot be taken")

    @pytest.mark.parametrize(
        "content",
        [
            field(7, field(1, b"") * 3_000_000),
            field(7, field(5, b"") * 3_000_000),
            field(14, b"") * 3_000_000,
            field(7, field(1, field(5, field(8, bytes(5_000_000))))),
            field(7, field(5, field(1, bytes(5_000_000)))),
            field(7, field(5, field(4, b""))) * 3_000_000,
        ],
        ids=["nodes", "tensors", "metadata", "integers", "dimensions", "graphs"],
    )
    def test_many_objects_are_refused_before_they_are_made(self, content, path, monkeypatch):
        monkeypatch.setattr(onnx.ModelProto, "ParseFromString", None, raising=False)
        path.write_bytes(content)
        refused(path, f"ONNX file of at most {protobuf.MAX_OBJECTS} objects, found more")

    def test_memory(self, content, tmp_path):
        """As much as small files can make a reader take."""
        info = onnx.helper.make_tensor_value_info

        def chain(op, n):
            nodes = [("MatMul", "xw", "v0", {})]
            nodes += [(op, [f"v{i}"], f"v{i + 1}", {}) for i in range(n)]
            return saved(tmp_path / op, nodes, {"w": W}, outputs=(f"v{n}",)).read_bytes()

        contents = {
            "good": content,
            "nodes": field(7, field(1, b"") * 99_000),
            "tensors": field(7, field(5, b"") * 99_000),
            "attributes": field(7, field(1, field(5, b"") * 99_000)),
            "functions": field(25, b"") * 99_000,
            "sines": chain("Sin", 20_000),
            "dimensions": saved(
                tmp_path / "w",
                [("MatMul", "xw", "y", {})],
                {"w": W},
                inputs=[info("x", FLOAT, [1] * 20_000)],
            ).read_bytes(),
        }
        good = tmp_path / "a good one"
        good.write_bytes(content)
        for name, text in contents.items():
            (tmp_path / name).write_bytes(text)
        found = memory.of_reading("from_onnx", good, [tmp_path / name for name in contents])
        for name, (kilobytes, message) in zip(contents, found, strict=True):
            assert kilobytes < 60_000, (name, message)
            assert (message == "loaded") == (name == "good"), message

    def test_messages_in_each_other(self, path):
        content = b""
        for _ in range(500):
            content = field(5, field(6, field(1, content)))  # a graph in a node's attribute
        path.write_bytes(field(7, field(1, content)))
        refused(path, "in each other more than 100 deep")
