"""The attributes that operators may have, against onnx itself; and what is folded on the way in."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import deltaloop as dl  # noqa: E402
from deltaloop._onnx import graph as _graph  # noqa: E402
from deltaloop._onnx.operators import OPERATORS, TYPES  # noqa: E402
from tests.helpers.files import refused_by  # noqa: E402
from tests.helpers.graphs import run, saved  # noqa: E402

DOUBLE, FLOAT = onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT
W = np.array([[0.5, -1.0], [2.0, 0.25], [1.0, 3.0]])  # (3, 2)
B = np.array([0.5, -0.5])
X = np.random.default_rng(0).normal(size=(20, 3))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def refused(path, match):
    return refused_by(dl.from_onnx, path, match)


# ---- attributes ----


def test_attributes_are_those_of_onnx():
    """Of all versions of the operators since the oldest opset that is read."""
    found = {name: {} for name in OPERATORS}
    for schema in onnx.defs.get_all_schemas_with_history():
        name = f"{schema.domain}.{schema.name}" if schema.domain else schema.name
        if name in found:
            kinds = {a.name: str(a.type).rpartition(".")[2] for a in schema.attributes.values()}
            found[name][schema.since_version] = kinds
    for name, versions in found.items():
        oldest = 1 if "." in name else max([v for v in versions if v <= 7], default=0)
        theirs = {}
        for version, kinds in versions.items():
            theirs |= kinds if version >= oldest else {}
        # Of versions of onnx that are older than the table, or newer, some may be missing.
        assert theirs.items() <= OPERATORS[name].items(), name


def values(kind):
    """An attribute of each type, as the name and value of a field."""
    tensor = onnx.numpy_helper.from_array(np.zeros(2), "t")
    return {"f": 0.5, "i": 1, "s": b"a", "t": tensor, "floats": [0.5], "ints": [1],
            "strings": [b"a"]}[kind]  # fmt: skip


def entry(name, number, *fields):
    """An attribute that says it is of this type, with these fields filled."""
    made = onnx.AttributeProto(name=name, type=number)
    for field in fields:
        value = values(field)
        if field == "t":
            made.t.CopyFrom(value)
        elif isinstance(value, list):
            getattr(made, field).extend(value)
        else:
            setattr(made, field, value)
    return made


def with_attributes(path, op, entries):
    """A graph whose second node has these attributes."""
    saved(path, [("MatMul", "xw", "z", {}), (op, "z", "y", {})], {"w": W})
    model = onnx.load(path)
    model.graph.node[1].attribute.extend(entries)
    path.write_bytes(model.SerializeToString())


FIELDS = ("f", "i", "s", "t", "floats", "ints", "strings")
EACH = [(op, name, kind) for op, known in OPERATORS.items() for name, kind in known.items()]


@pytest.mark.parametrize(("op", "name", "kind"), EACH)
def test_every_attribute_of_a_wrong_type(op, name, kind, path):
    number, field = next((n, f) for n, (k, f) in TYPES.items() if k == kind)
    for other, (other_kind, other_field) in TYPES.items():
        if other_field not in FIELDS or other == number:
            continue
        with_attributes(path, op, [entry(name, other, other_field)])
        message = refused(path, rf"expected {name} to be of type {kind}, found {other_kind}")
        assert "node 'node_y'" in message
        if field in FIELDS:
            with_attributes(path, op, [entry(name, number, field, other_field)])
            refused(path, rf"node 'node_y'.*expected {name} to hold a {kind}, found {other_kind}")
    if field in FIELDS:
        with_attributes(path, op, [entry(name, number, field)] * 2)
        refused(path, f"node 'node_y'.*expected each attribute once, found '{name}' twice")
        reference = onnx.AttributeProto(name=name, type=number, ref_attr_name="other")
        with_attributes(path, op, [reference])
        refused(path, f"node 'node_y'.*expected {name} to be of type {kind}, found a reference")
    with_attributes(path, op, [entry(name, 0)])
    refused(path, "found nothing known")


@pytest.mark.parametrize("op", OPERATORS)
def test_attributes_that_operators_do_not_have(op, path):
    with_attributes(path, op, [entry("beta2", 1, "f")])
    message = refused(path, "node 'node_y'.*found 'beta2'")
    assert all(name in message for name in OPERATORS[op])
    with_attributes(path, op, [entry("", 1, "f")])
    refused(path, "node 'node_y'")


def test_attributes_of_other_operators_are_there_once(path):
    with_attributes(path, "of.ours.Strange", [entry("a", 6, "floats")])
    refused(path, r"node 'node_y' \(of.ours.Strange\) cannot be taken")
    with_attributes(path, "of.ours.Strange", [entry("a", 6, "floats"), entry("a", 1, "f")])
    refused(path, "'a' twice")


def test_alpha_of_a_gemm_as_a_list(path):
    """It scaled the columns."""
    saved(path, [("Gemm", "xwb", "y", {})], {"w": W, "b": B})
    model = onnx.load(path)
    model.graph.node[0].attribute.add(name="alpha", type=6, floats=[0.5, 2.0])
    path.write_bytes(model.SerializeToString())
    message = refused(path, "expected alpha to be of type FLOAT, found FLOATS")
    assert "node 'node_y' (Gemm" in message


def test_zeros_that_are_left_out(path):
    """As protobuf 3 does."""
    with_attributes(path, "Concat", [])
    saved(path, [("Gemm", "xwb", "y", {})], {"w": W, "b": B})
    model = onnx.load(path)
    model.graph.node[0].attribute.add(name="beta", type=1)
    path.write_bytes(model.SerializeToString())
    assert not dl.from_onnx(path).biases[0].any()


# ---- weights of two bytes ----


@pytest.mark.parametrize("raw", [True, False])
def test_float16(raw, path):
    words = np.arange(1 << 16, dtype=np.uint16)
    every = words.view(np.float16)
    every = every[np.isfinite(every)]
    every = every[: len(every) // 4 * 4].reshape(-1, 4)
    tensor = onnx.numpy_helper.from_array(every, "w")
    if not raw:
        tensor = onnx.TensorProto(name="w", data_type=10, dims=every.shape)
        tensor.int32_data.extend(every.view(np.uint16).ravel().tolist())
    saved(path, [("MatMul", "xw", "y", {})], {"w": tensor})
    np.testing.assert_array_equal(dl.from_onnx(path).weights[0], every.astype(np.float64))
    if not raw:
        tensor.int32_data[3] = 1 << 16
        saved(path, [("MatMul", "xw", "y", {})], {"w": tensor})
        refused(path, "values of two bytes, found larger ones")


@pytest.mark.parametrize("raw", [True, False])
def test_bfloat16(raw, path):
    words = np.arange(1 << 16, dtype=np.uint16)
    finite = (words & 0x7F80) != 0x7F80
    words = words[finite]
    words = words[: len(words) // 4 * 4].reshape(-1, 4)
    # sign, exponent and fraction, as the definition has them
    sign, exponent, fraction = words >> 15, (words >> 7) & 0xFF, words & 0x7F
    expected = np.where(
        exponent == 0,
        fraction * 2.0**-133,
        np.ldexp(1 + fraction / 128.0, exponent.astype(int) - 127),
    )
    expected = np.where(sign == 1, -expected, expected)
    tensor = onnx.TensorProto(name="w", data_type=16, dims=words.shape)
    if raw:
        tensor.raw_data = words.tobytes()
    else:
        tensor.int32_data.extend(words.ravel().tolist())
    saved(path, [("MatMul", "xw", "y", {})], {"w": tensor})
    np.testing.assert_array_equal(dl.from_onnx(path).weights[0], expected)


@pytest.mark.parametrize("kind", [10, 16])
def test_casts_between_floats_of_any_size(kind, path):
    nodes = [
        ("Cast", "x", "c", {"to": kind}),
        ("MatMul", "cw", "z", {}),
        ("Tanh", "z", "t", {}),
        ("Cast", "t", "y", {"to": DOUBLE}),
    ]
    assert dl.from_onnx(saved(path, nodes, {"w": W.astype(np.float16)})).output == "tanh"
    nodes[0] = ("Cast", "x", "c", {"to": 7})
    refused(saved(path, nodes, {"w": W}), r"'node_c' \(Cast, to=7\) cannot be taken")


# ---- folded ----


def compared(path, X, bound=1e-10):
    """The network of a file, which gives what ONNX Runtime does."""
    net = dl.from_onnx(path, seed=0)
    (found,) = run(path, X)
    expected = net.predict(X.reshape(len(X), -1))
    np.testing.assert_allclose(
        found.reshape(len(X), -1), expected, rtol=bound, atol=bound * abs(expected).max()
    )
    return net


class Random:
    """A random chain: its nodes, and the constants that they name."""

    def __init__(self, rng, path):
        self.rng, self.nodes, self.tensors, self.value = rng, [], {}, "x"
        self.path = path

    def constant(self, value):
        name = f"c{len(self.tensors)}"
        self.tensors[name] = np.asarray(value)
        return name

    def node(self, op, *inputs, **attributes):
        self.value = f"v{len(self.nodes)}"
        self.nodes.append((op, inputs, self.value, attributes))

    def row(self, m, positive=False):
        """Numbers for m columns, in one of the shapes that broadcast."""
        shape = [(m,), (1, m), (1,), ()][self.rng.integers(4)]
        numbers = self.rng.uniform(0.3, 2.0, shape)
        if not positive and self.rng.random() < 0.3:
            numbers = -numbers
        return self.constant(numbers)

    def between(self, m, positive=False):
        """Nothing, or some of what is folded."""
        for _ in range(self.rng.integers(3)):
            op = ["Add", "Sub", "Mul", "Div", "BatchNormalization"][self.rng.integers(5)]
            if op == "BatchNormalization":
                scale, shift, mean = (self.rng.uniform(0.5, 1.5, m) for _ in range(3))
                rows = scale, shift, mean, self.rng.uniform(0.5, 1.5, m)
                names = [self.constant(row) for row in rows]
                self.node(op, self.value, *names, epsilon=1e-3)
                continue
            pair = [self.value, self.row(m, positive or op in ("Add", "Sub"))]
            if op in ("Add", "Mul") and self.rng.random() < 0.5:
                pair.reverse()
            self.node(op, *pair)

    def layer(self, m_in, m_out, activation):
        w = self.constant(self.rng.normal(size=(m_in, m_out)) / math.sqrt(m_in))
        if self.rng.random() < 0.5:
            self.node("MatMul", self.value, w)
            if self.rng.random() < 0.7:
                self.node("Add", self.value, self.constant(self.rng.normal(size=m_out)))
        else:
            rest = [self.constant(self.rng.normal(size=m_out))] * self.rng.integers(2)
            alpha, beta = self.rng.uniform(0.5, 2.0, 2)
            self.node("Gemm", self.value, w, *rest, alpha=alpha, beta=beta)
        self.between(m_out)
        if activation:
            self.node(activation, self.value)

    def save(self, **options):
        last, given, _, attributes = self.nodes[-1]
        self.nodes[-1] = (last, given, "y", attributes)
        saved(self.path, self.nodes, self.tensors, kind=DOUBLE, opset=15, **options)


@pytest.mark.parametrize("part", range(4))
def test_random_chains(part, path):
    scaled = 0
    for number in range(40):
        rng = np.random.default_rng(1000 * part + number)
        layers = rng.integers(1, 6, size=rng.integers(2, 5)).tolist()
        chain = Random(rng, path)
        shape = [layers[0]]
        if rng.random() < 0.4:
            shape = [1, layers[0], 1]
            if rng.random() < 0.5:
                chain.node("Div", chain.value, chain.constant(255.0))
            width = [-1, layers[0]][rng.integers(2)]
            first = [0, -1][rng.integers(2)] if width > 0 else 0
            how = ["Flatten", "Reshape"][rng.integers(2)]
            rest = [chain.constant(np.array([first, width]))] if how == "Reshape" else []
            chain.node(how, chain.value, *rest)
        chain.between(layers[0])
        for l, (m_in, m_out) in enumerate(itertools.pairwise(layers), start=1):
            last = l == len(layers) - 1
            names = ["Tanh", "Sigmoid", "Relu"] + ([None] if last else [])
            chain.layer(m_in, m_out, names[rng.integers(len(names))])
            if not last:
                chain.between(m_out)
        positive = [op for op, *_ in chain.nodes][-1] in ("Tanh", "Sigmoid", "Relu")
        chain.between(layers[-1], positive)
        if layers[-1] == 1 and rng.random() < 0.5:
            axes = chain.constant(np.array([[1], [-1]][rng.integers(2)]))
            chain.node("Squeeze", chain.value, axes)
        info = onnx.helper.make_tensor_value_info("x", DOUBLE, ["n", *shape])
        chain.save(inputs=[info])
        net = compared(path, rng.normal(size=(7, *shape)))
        assert net.layers == tuple(layers)
        scaled += net.scaling is not None
    assert scaled > 5


def test_a_standardised_model_keeps_its_bits(path):
    rng = np.random.default_rng(3)
    mean, scale = rng.normal(1900, 50, 3), rng.uniform(1e-3, 1e3, 3)
    tensors = {"m": mean, "s": scale, "w": W, "b": B, "k": np.array([7.0, 0.1]), "o": -B}
    nodes = [
        ("Sub", "xm", "c", {}),
        ("Div", "cs", "d", {}),
        ("Gemm", "dwb", "z", {}),
        ("Mul", "zk", "u", {}),
        ("Add", "uo", "y", {}),
    ]
    net = compared(saved(path, nodes, tensors, kind=DOUBLE), X * scale + mean, 1e-14)
    expected = dl.Scaling(mean, scale, -B, [7.0, 0.1])
    assert net.scaling == expected
    np.testing.assert_array_equal(net.weights[0], W)
    # A loss whose targets have no units has it in the weights.
    classes = dl.from_onnx(path, loss="cross_entropy")
    assert classes.output == "softmax"
    assert not classes.scaling.scales_outputs
    np.testing.assert_allclose(classes.weights[0], W * [7.0, 0.1])
    nodes[2:] = [("MatMul", "dw", "z", {}), ("Tanh", "z", "t", {}), ("Mul", "tk", "y", {})]
    net = compared(saved(path, nodes, tensors, kind=DOUBLE), X * scale + mean, 1e-14)
    assert (net.output, net.loss) == ("tanh", "squared_error")
    assert net.scaling.output_scale.tolist() == [7.0, 0.1]
    refused_by(
        lambda path: dl.from_onnx(path, loss="poisson"), path, "a scale above 0 behind tanh units"
    )


def test_a_scaler(path):
    settings = {"offset": [1.0, 2.0, 3.0], "scale": [0.5, 0.25, 4.0]}
    nodes = [("ai.onnx.ml.Scaler", "x", "s", settings), ("MatMul", "sw", "y", {})]
    saved(path, nodes, {"w": W.astype(np.float32)})
    net = dl.from_onnx(path)
    assert net.scaling == dl.Scaling([1, 2, 3], [2, 4, 0.25], [0, 0], [1, 1])
    x = X.astype(np.float32)
    np.testing.assert_allclose(run(path, x)[0], net.predict(x), rtol=1e-4, atol=1e-4)
    for wrong in ({}, {"offset": [0.0]}, {"scale": [1.0]}):
        nodes[0] = ("ai.onnx.ml.Scaler", "x", "s", wrong)
        refused(saved(path, nodes, {"w": W}), "'node_s'.*expected offset and scale")
    nodes[0] = ("ai.onnx.ml.Scaler", "x", "s", {"offset": [0.0] * 4, "scale": [1.0]})
    refused(saved(path, nodes, {"w": W}), "expected weights of 4 rows|cannot be taken")


def test_what_no_scaling_can_be_is_folded(path):
    """Factors of 0 and below, of inputs and of linear outputs."""
    tensors = {"a": np.array([-1.0, 0.0, 2.0]), "w": W, "k": np.array([0.0, -3.0])}
    nodes = [("Mul", "xa", "i", {}), ("MatMul", "iw", "z", {}), ("Mul", "zk", "y", {})]
    net = compared(saved(path, nodes, tensors, kind=DOUBLE), X)
    assert net.scaling is None
    np.testing.assert_array_equal(net.weights[0], W * tensors["a"][:, None] * tensors["k"])
    nodes = [("MatMul", "xw", "z", {}), ("Tanh", "z", "t", {}), ("Mul", "tk", "y", {})]
    refused(saved(path, nodes, tensors), "expected a scale above 0 behind tanh units")
    square = {"s": np.eye(3), "w": W, "a": tensors["a"]}
    nodes = [
        ("Mul", "xa", "i", {}),
        ("MatMul", "is", "z", {}),
        ("Add", "iz", "u", {}),
        ("MatMul", "uw", "y", {}),
    ]
    refused(saved(path, nodes, square), "expected a scale above 0 of inputs that are skipped")
    square["a"] = np.array([1.0, 0.5, 2.0])
    assert compared(saved(path, nodes, square, kind=DOUBLE), X).residual


@pytest.mark.parametrize(
    "nodes",
    [
        [("Squeeze", "z", "s", {}), ("Softmax", "s", "y", {})],
        [("Squeeze", "z", "s", {}), ("MatMul", "so", "y", {})],
        [("Reshape", "zf", "s", {}), ("MatMul", "so", "y", {})],
        [("Reshape", "zg", "y", {})],
        [("Reshape", "zh", "y", {})],
        [("Squeeze", "zi", "y", {})],
        [("Tanh", "z", "t", {}), ("Mul", "to", "u", {}), ("Add", "uz", "y", {})],
        [("Tanh", "z", "t", {}), ("Mul", "tk", "y", {})],
        [("BatchNormalization", "zoooo", "y", {"training_mode": 1})],
        [("BatchNormalization", "zookk", "y", {})],
        [("BatchNormalization", "zooo", "y", {})],
        [("Mul", "zz", "y", {})],
        [("Div", "oz", "y", {})],
        [("Mul", "zj", "y", {})],
    ],
    ids=lambda nodes: " ".join("".join(node[:2]) for node in nodes),
)
def test_what_looks_like_it_and_is_not(nodes, path):
    tensors = {
        "w": W[:, :1],
        "o": np.ones(1),
        "k": np.ones(2),
        "f": np.array([-1]),
        "g": np.array([1, 1]),
        "h": np.array([-1, 1, 1]),
        "i": np.array([0]),
        "j": np.ones((2, 1)),
    }
    tensors["o"] = tensors["o"] if nodes[-1][0] != "MatMul" else np.ones((1, 1))
    nodes = [("MatMul", "xw", "z", {}), *nodes]
    refused(saved(path, nodes, tensors, opset=15), r"node 'node_\w' \(\w+.*\) cannot be taken")


def test_batch_normalisation_of_no_variance(path):
    tensors = {"w": W, "o": np.ones(2), "v": np.array([1.0, -1.0])}
    nodes = [("MatMul", "xw", "z", {}), ("BatchNormalization", "zooov", "y", {})]
    refused(saved(path, nodes, tensors, opset=15), "node 'node_y'.*expected variances above 0")


@pytest.mark.parametrize("shape", [[-1, 2], [0, 3], [0, -1], [-1, 6]])
def test_rows_stay_rows(shape, path):
    """A reshape that made two rows of one would be another network."""
    info = onnx.helper.make_tensor_value_info("x", DOUBLE, ["n", 6])
    width = 6 if shape[1] in (-1, 6) else shape[1]
    tensors = {"r": np.array(shape), "w": np.ones((width, 2))}
    nodes = [("Reshape", "xr", "c", {}), ("MatMul", "cw", "y", {})]
    saved(path, nodes, tensors, inputs=[info])
    if width == 6:
        assert dl.from_onnx(path).layers == (6, 2)
    else:
        refused(path, f"node 'node_c'.*rows of all 6 numbers, found {width}")


def test_small_files_do_not_become_large_networks(path, monkeypatch):
    """One matrix in many layers, one row in many steps."""
    monkeypatch.setattr(_graph, "SPARE", 100)
    square, row = np.eye(10), np.ones(10)
    for count, fine in ((5, True), (9, False)):
        nodes = [("MatMul", "xw", "v0", {})]
        nodes += [("MatMul", (f"v{i}", "w"), f"v{i + 1}", {}) for i in range(count - 1)]
        saved(path, nodes, {"w": square}, outputs=(f"v{count - 1}",))
        if fine:
            assert len(dl.from_onnx(path).layers) == count + 1
        else:
            refused(path, "expected at most 500 weights in this file, found 900")
    nodes = [("Mul", "xr", "v0", {})]
    nodes += [("Mul", (f"v{i}", "r"), f"v{i + 1}", {}) for i in range(40)]
    nodes.append(("MatMul", ("v40", "w"), "y", {}))
    refused(saved(path, nodes, {"w": square, "r": row}), "expected rows of at most 540 numbers")


# ---- networks with a scaling ----


@pytest.mark.parametrize("kind", ["standard", "minmax", "given"])
@pytest.mark.parametrize("layers", [(3, 4, 2), (1, 1), (3, 3, 1), (1, 4, 1)])
@pytest.mark.parametrize(
    ("activation", "output"), [("gelu", "identity"), ("tanh", "tanh"), ("relu", "elu")]
)
def test_a_scaling_comes_back(kind, layers, activation, output, path):
    rng = np.random.default_rng(6)
    m_in, m_out = layers[0], layers[-1]
    residual = layers == (3, 3, 1)
    net = dl.Network(layers, activation=activation, output=output, residual=residual, seed=2)
    net.scaling = dl.Scaling(
        rng.normal(1900, 9, m_in), rng.uniform(1e-4, 1e4, m_in),
        rng.normal(size=m_out), rng.uniform(1e-4, 1e4, m_out), kind,
    )  # fmt: skip
    net.to_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    twin = dl.from_onnx(path)
    assert repr(twin) == repr(net)
    assert twin.scaling == net.scaling
    x = rng.normal(size=(50, m_in)) * net.scaling.input_scale + net.scaling.input_offset
    np.testing.assert_array_equal(twin.predict(x), net.predict(x))
    found = run(path, x)[0]
    scale = abs(net.scaling.output_scale) + abs(net.scaling.output_offset)
    assert (abs(found - net.predict(x)) <= 1e-13 * scale).all()
    # What the metadata says and what the graph does belong together.
    model = onnx.load(path)
    for prop in model.metadata_props:
        if prop.key == "deltaloop.version":
            prop.value = "2" if residual else "1"
    kept = [prop for prop in model.metadata_props if prop.key != "deltaloop.scaling"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    path.write_bytes(model.SerializeToString())
    refused(path, "expected the graph that the model's metadata describes")


def test_a_scaling_of_one_side_or_none(path):
    for arrays in (
        ([5.0], [2.0], [0.0], [1.0]),
        ([0.0], [1.0], [5.0], [2.0]),
        ([0.0], [1.0], [0.0], [1.0]),
        ([-0.0], [3.0], [-0.0], [1.0]),
    ):
        net = dl.Network([1, 1], activation="identity", seed=1)
        net.scaling = dl.Scaling(*arrays, "standard")
        net.to_onnx(path)
        twin = dl.from_onnx(path)
        assert twin.scaling == net.scaling
        assert run(path, np.ones((1, 1)))[0] == pytest.approx(net.predict([[1.0]]))


# ---- exporters ----


@pytest.mark.parametrize("scaler", ["StandardScaler", "MinMaxScaler"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scikit_learn(scaler, kind, path):
    skl2onnx = pytest.importorskip("skl2onnx")
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(2)
    x = rng.normal(50.0, 9.0, size=(60, 4))
    model = make_pipeline(
        getattr(preprocessing, scaler)(),
        MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, random_state=0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(x, x[:, 0])
    exported = skl2onnx.to_onnx(model, x[:1].astype(kind))
    path.write_bytes(exported.SerializeToString())
    net = dl.from_onnx(path)
    assert net.scaling is not None
    bound = 1e-4 if kind is np.float32 else 1e-10
    np.testing.assert_allclose(net.predict(x)[:, 0], model.predict(x), atol=bound)


@pytest.mark.filterwarnings("ignore")
def test_pytorch_with_batch_normalisation(path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(
        nn.BatchNorm1d(4), nn.Linear(4, 6), nn.BatchNorm1d(6), nn.SiLU(), nn.Linear(6, 5),
        nn.GELU(), nn.BatchNorm1d(5), nn.Linear(5, 3), nn.BatchNorm1d(3), nn.Tanh(),
        nn.Linear(3, 1),
    )  # fmt: skip
    for _ in range(20):
        module(torch.randn(50, 4) * 3 + 1)
    module.eval()
    x = torch.randn(7, 4)
    torch.onnx.export(module, (x,), str(path), verbose=False, dynamo=False)
    net = dl.from_onnx(path)
    assert net.layers == (4, 6, 5, 3, 1)
    assert net.activation == ("silu", "gelu", "tanh")
    expected = module(x).detach().numpy()
    np.testing.assert_allclose(net.predict(x.numpy()), expected, atol=1e-5)


@pytest.mark.parametrize("op", ["Reshape", "Squeeze"])
def test_a_shape_of_many_dimensions_and_no_numbers(op, path):
    """It takes no bytes in the file, and as lists all memory there is."""
    node = onnx.helper.make_node
    arrays = {"w": W, "shape": np.zeros((2**20, 2**20, 0), np.int64)}
    graph = onnx.helper.make_graph(
        [node(op, ["x", "shape"], ["f"], name="first"), node("MatMul", ["f", "w"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", DOUBLE, [None, 3])],
        [onnx.helper.make_tensor_value_info("y", DOUBLE, None)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    path.write_bytes(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    refused(path, "node 'first'")


@pytest.mark.parametrize("m", [1, 2, 3])
def test_what_is_left_of_probabilities_beside_them(m, path):
    """skl2onnx writes [1 - p, p] for two classes, and for two labels."""
    W = np.random.default_rng(0).normal(size=(4, m))
    nodes = [
        ("MatMul", "xw", "z", {}),
        ("Sigmoid", "z", "p", {}),
        ("Sub", "op", "q", {}),
        ("Concat", "qp", "y", {"axis": 1}),
    ]
    network = dl.from_onnx(saved(path, nodes, {"w": W, "o": np.array([1.0])}))
    X = np.random.default_rng(1).normal(size=(5, 4))
    np.testing.assert_allclose(network.predict(X), 1 / (1 + np.exp(-X @ W)), rtol=1e-12)
    nodes[3] = ("Concat", "pq", "y", {"axis": 1})
    refused(saved(path, nodes, {"w": W, "o": np.array([1.0])}), "cannot be taken")
