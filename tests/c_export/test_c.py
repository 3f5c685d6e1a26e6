"""Networks as C files: the bytes of the library, in both classes, and what is refused."""

import os
import re
import subprocess

import numpy as np
import pytest

import deltaloop as dl
from deltaloop import _core
from deltaloop._activations import TRAINABLE as HIDDEN
from deltaloop._c import functions32, functions64
from tests.c_export.compiled import CC, STRICT, Compiled, needs_cc, same

FMA = any(name != "base" for name in _core.ISAS)
needs_fma = pytest.mark.skipif(not FMA, reason="this machine has no FMA")


def hard_rows(rng, m):
    """Return rows with zeros, denormals, large numbers, infinities and NaN."""
    X = rng.standard_normal((40, m))
    X[1], X[2] = 0.0, -0.0
    X[3] *= 5e-320
    X[4] *= 1e300
    X[5], X[6], X[7, 0], X[8, 0] = np.inf, -np.inf, np.inf, np.nan
    X[9:20] *= 30.0
    X[20] *= 1e-300
    return X


def network(rng, kinds=HIDDEN, outputs=(*HIDDEN, "softmax"), **options):
    """Return a random network of up to five layers."""
    n_layers, width = rng.integers(1, 6), int(rng.choice([3, 8, 33, 40]))
    inner = [width if rng.random() < 0.6 else int(rng.integers(1, 20)) for _ in range(n_layers - 1)]
    output = str(rng.choice(outputs))
    sizes = [int(rng.integers(1, 9)), *inner, int(rng.integers(1 + (output == "softmax"), 12))]
    can_skip = any(sizes[l] == sizes[l - 1] for l in range(1, len(inner) + 1))
    net = dl.Network(
        sizes,
        activation=[str(rng.choice(kinds)) for _ in inner] or "tanh",
        output=output,
        residual=can_skip and bool(rng.random() < 0.7),
        seed=int(rng.integers(1000)),
        **options,
    )
    net.parameters = rng.standard_normal(net.n_parameters)
    if rng.random() < 0.5:
        units = output in ("identity", "relu", "leaky_relu", "silu", "gelu", "mish")
        m_in, m_out = sizes[0], sizes[-1]
        net.scaling = dl.Scaling(
            rng.standard_normal(m_in),
            np.exp(rng.standard_normal(m_in)),
            rng.standard_normal(m_out) * units,
            np.exp(rng.standard_normal(m_out) * units),
        )
    return net


def as_of(net, isa):
    twin = net.copy()
    twin._compute_as(isa)
    return twin


@pytest.mark.slow
@needs_cc
@pytest.mark.parametrize("arithmetic", [pytest.param("fma", marks=needs_fma), "base"])
def test_bytes_of_predict_and_jacobian(tmp_path, arithmetic):
    rng = np.random.default_rng(17)
    isa = "base" if arithmetic == "base" else _core.ISAS[0]
    flags = [
        ("-O0",),
        ("-O2",),
        ("-O3", "-march=native"),
        ("-O2", "-DDELTALOOP_SOFT_FMA", "-DDELTALOOP_SOFT_SUMS"),
    ]
    for case in range(6):
        kinds = HIDDEN if case % 2 else (*HIDDEN, "step")
        net = network(rng, kinds)
        derivable = "step" not in (*net.activation, net.output)
        path = tmp_path / f"net{case}.c"
        net.to_c(path, arithmetic=arithmetic, jacobian=derivable)
        X, twin = hard_rows(rng, net.layers[0]), as_of(net, isa)
        file = Compiled(path, *flags[case % 4])
        assert file.self_test() == 0, net
        assert same(file.predict(X), twin.predict(X)), net
        if derivable:
            assert same(file.jacobian(X), twin.jacobian(X, wrt="inputs")), net


@needs_cc
@pytest.mark.parametrize("arithmetic", [pytest.param("fma", marks=needs_fma), "base"])
@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
def test_sums_in_two_steps(tmp_path, arithmetic, activation):
    """As some processors need them: no function that nothing calls, and the same bytes."""
    net = dl.Network([3, 4, 2], activation=activation, output="identity", seed=5)
    net.to_c(tmp_path / "net.c", arithmetic=arithmetic)
    file = Compiled(tmp_path / "net.c", "-O2", "-DDELTALOOP_SOFT_FMA", "-DDELTALOOP_SOFT_SUMS")
    X = hard_rows(np.random.default_rng(5), 3)
    isa = "base" if arithmetic == "base" else _core.ISAS[0]
    assert same(file.predict(X), as_of(net, isa).predict(X))


@needs_cc
def test_a_hidden_constant_stays_two_operations(tmp_path):
    # GCC 12 fuses a product with constants of both signs behind it, despite -ffp-contract=off.
    net = dl.Network([5, 3, 2], activation="tanh", seed=1)
    net.scaling = dl.Scaling(np.zeros(5), np.ones(5), [-0.7, 0.4], [0.3, 1.7])
    net.to_c(tmp_path / "net.c")
    X = np.random.default_rng(0).standard_normal((200, 5))
    assert same(Compiled(tmp_path / "net.c", "-O3", "-march=native").predict(X), net.predict(X))


@needs_cc
@pytest.mark.parametrize("flags", [("-O2",), ("-O3", "-march=native")])
def test_float32(tmp_path, flags):
    rng = np.random.default_rng(3)
    kinds = (*HIDDEN, "step") if flags == ("-O2",) else ("tanh", "gelu", "mish")
    for case, kind in enumerate(kinds):
        net = dl.Network([3, 9, 2], activation=kind, output="softmax", seed=case)
        net.parameters = rng.standard_normal(net.n_parameters)
        path = tmp_path / f"net{case}.c"
        net.to_c(path, dtype="float32", jacobian=kind != "step", header=True)
        file = Compiled(path, *flags)
        X = rng.standard_normal((50, 3)).astype(np.float32)
        assert file.self_test() == 0, kind
        assert abs(file.predict(X) - net.predict(X)).max() < 3e-6, kind
        if kind != "step":
            assert abs(file.jacobian(X) - net.jacobian(X, wrt="inputs")).max() < 3e-5, kind


@pytest.mark.parametrize("name", [*HIDDEN, "step"])
def test_float32_functions(name):
    from deltaloop._c.functions32 import evaluated

    x = np.concatenate([np.linspace(-20, 20, 20001), [-np.inf, np.inf, 0.0, -0.0, 1e-30, -200.0]])
    x = x.astype(np.float32)
    if name == "exp":
        x = x[np.isfinite(x)]
    net = dl.Network([1, 1], activation="tanh", output=name, seed=0)
    net.parameters = [1.0, 0.0]
    wide = net.predict(x[:, np.newaxis].astype(np.float64))[:, 0]
    if name == "identity":
        return
    with np.errstate(all="ignore"):
        narrow = evaluated()[name](x).astype(np.float64)
        off = abs(narrow - wide) / np.spacing(abs(wide).astype(np.float32))
    off[narrow == wide] = 0.0
    assert np.nanmax(off) < 8, x[np.nanargmax(off)]
    assert not np.isnan(narrow).any()
    assert np.isnan(evaluated()[name](np.float32([np.nan])))[0]


LOSSES = [
    ("squared_error", "identity"),
    ("squared_error", "softmax"),
    ("squared_error", "gelu"),
    ("cross_entropy", "softmax"),
    ("cross_entropy", "sigmoid"),
    ("binary_cross_entropy", "sigmoid"),
    ("absolute_error", "tanh"),
    (dl.losses.Huber(0.3), "identity"),
    (dl.losses.Quantile(0.8), "identity"),
    ("poisson", "exp"),
]
SOLVERS = [
    ("sgd", dl.GradientDescent(0.01)),
    ("momentum", dl.GradientDescent(0.01, momentum=0.9)),
    ("adam", dl.Adam()),
    (None, dl.GradientDescent(0.02, momentum=0.5, nesterov=True)),
    (None, dl.AdamW(0.01, weight_decay=0.1)),
]


def targets(rng, loss, output, m):
    """Return targets that the loss takes."""
    if output == "softmax" and loss == "cross_entropy":
        return np.eye(m)[rng.integers(m)]
    if "cross" in str(loss):
        return rng.random(m)
    return rng.poisson(2.0, m).astype(float) if loss == "poisson" else rng.standard_normal(m)


@pytest.mark.slow
@needs_cc
def test_steps_are_those_of_the_trainer(tmp_path):
    rng = np.random.default_rng(5)
    flags = [
        ("-O2",),
        ("-O3", "-march=native"),
        ("-O2", "-DDELTALOOP_SOFT_FMA", "-DDELTALOOP_SOFT_SUMS"),
    ]
    for case, (loss, output) in enumerate(LOSSES):
        m = 1 if (loss, output) == ("cross_entropy", "sigmoid") else 3
        sizes = [4, 5, 5, m] if case % 2 else [4, 7, m]
        net = dl.Network(
            sizes, activation=HIDDEN[case], output=output, loss=loss, residual=bool(case % 2),
            seed=case,
        )  # fmt: skip
        shift = rng.standard_normal(m) * (output == "identity")
        net.scaling = dl.Scaling(rng.standard_normal(4), [2.0, 0.3, 1.0, 5.0], shift, np.exp(shift))
        named, solver = SOLVERS[case % len(SOLVERS)]
        path = tmp_path / f"net{case}.c"
        net.to_c(path, train=named or solver)
        file = Compiled(path, *flags[case % 3])
        state, trainer = file.state(), net.trainer(solver)
        assert same(file.parameters(state), net.parameters)
        for _ in range(40):
            x, y = rng.standard_normal(4), targets(rng, loss, output, m)
            assert file.step(state, x, y) == trainer.step(x, y), (loss, output, solver)
            assert same(file.parameters(state), net.parameters), (loss, output, solver)
        X = rng.standard_normal((5, 4))
        assert same(file.predict(X, state), net.predict(X))
        assert file.self_test() == 0  # of the weights that were exported


@needs_cc
def test_a_cost_that_is_not_finite_changes_nothing(tmp_path):
    net = dl.Network([2, 3, 1], activation="relu", seed=0)
    net.to_c(tmp_path / "net.c", train="adam")
    file = Compiled(tmp_path / "net.c")
    state = file.state()
    before = state.copy()
    assert file.step(state, [1e200, 1e200], [0.0]) == np.inf
    n = 6 + 3 * file.macros["PARAMETERS"]
    assert same(state[:n], before[:n])


@needs_cc
def test_also_c_plus_plus(tmp_path):
    net = dl.Network([2, 3, 2], activation="gelu", output="softmax", residual=False, seed=0)
    for dtype in ("float64", "float32"):
        path = tmp_path / f"{dtype}.c"
        net.to_c(path, dtype=dtype, header=True, jacobian=True, train="adam")
        flags = [flag for flag in STRICT if "prototypes" not in flag and flag != "-std=c99"]
        command = [CC, "-x", "c++", "-std=c++17", *flags, "-O2", "-c", str(path), "-o", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if "cc1plus" in done.stderr:
            pytest.skip("the compiler has no C++")
        assert done.returncode == 0, done.stderr


@needs_cc
def test_casadi_interface(tmp_path):
    net = dl.Network([3, 4, 2], activation="tanh", seed=0)
    net.to_c(tmp_path / "arm.c", name="arm", casadi=True)
    Compiled(tmp_path / "arm.c", name="arm")
    casadi = pytest.importorskip("casadi")
    library = next(tmp_path.glob("*.so"))
    arm = casadi.external("arm", str(library))
    x = np.array([0.1, -0.2, 0.3])
    assert same(np.array(arm(x))[:, 0], net.predict(x))
    jacobian = arm.jacobian()(x, 0)
    assert same(np.array(jacobian), net.jacobian(x, wrt="inputs"))


def test_the_header_says_what_it_is(tmp_path):
    net = dl.Network([2, 3, 1], activation="tanh", seed=0)
    net.to_c(tmp_path / "net.c", arithmetic="base")
    text = (tmp_path / "net.c").read_text()
    assert 'class "base"' in text
    assert "0BSD" in text
    net.to_c(tmp_path / "small.c", dtype="float32")
    assert "The largest difference from float64" in (tmp_path / "small.c").read_text()
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "2x"}, ValueError, "name must be an identifier"),
        ({"name": "int"}, ValueError, "name must be an identifier"),
        ({"name": 3}, TypeError, "name must be a str"),
        ({"dtype": "float16"}, ValueError, "dtype must be 'float64' or 'float32'"),
        ({"arithmetic": "x87"}, ValueError, "arithmetic must be 'fma' or 'base'"),
        ({"header": 1}, TypeError, "header"),
        ({"casadi": True, "dtype": "float32"}, ValueError, "casadi=True needs dtype='float64'"),
        ({"train": "lm"}, ValueError, "train must be 'sgd', 'momentum', 'adam' or a solver"),
        ({"train": dl.LBFGS()}, ValueError, "train must be GradientDescent, Adam or AdamW"),
        ({"train": dl.Adam(clip_norm=1.0)}, ValueError, "clip_norm=None"),
        ({"jacobian": True}, ValueError, "jacobian=True needs derivatives"),
        ({"train": "sgd"}, ValueError, "train needs derivatives"),
    ],
)
def test_refused_by_name_before_a_byte_is_written(tmp_path, options, error, message):
    net = dl.Network([2, 3, 1], activation="step", seed=0)
    with pytest.raises(error, match=message):
        net.to_c(tmp_path / "net.c", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("function", "options"),
    [("elu", {}), ("elu_delta", {"jacobian": True}), ("elu_delta", {"train": "sgd"})],
)
def test_activation_without_a_function_is_named(tmp_path, monkeypatch, dtype, function, options):
    for known in (functions64, functions32):
        monkeypatch.delitem(known.FUNCTIONS, function)
    net = dl.Network([2, 3, 3, 1], activation=["tanh", "elu"], output="identity", seed=0)
    with pytest.raises(ValueError, match=rf"elu units of layer 2 have no {function} in {dtype}"):
        net.to_c(tmp_path / "net.c", dtype=dtype, **options)
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_float32_cannot_hold(tmp_path):
    net = dl.Network([2, 1], activation="identity", seed=0)
    net.parameters = [1e300, 1.0, 0.0]
    with pytest.raises(ValueError, match=r"weights\.1 holds 1e\+300, which float32 cannot hold"):
        net.to_c(tmp_path / "net.c", dtype="float32")
    net.weights[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"weights\.1"):
        net.to_c(tmp_path / "net.c")
    assert list(tmp_path.iterdir()) == []


def test_the_centre_of_a_tables_inputs_is_found(tmp_path):
    """Its scaling is in the weights: the error of float32 is that of rows like its own."""
    pytest.importorskip("narwhals")
    from deltaloop.tabular import TabularModel

    rng = np.random.default_rng(0)
    frame = {"p": rng.normal(101325.0, 50.0, 300)}
    frame["y"] = (frame["p"] - 101325.0) / 50.0
    TabularModel(seed=0).fit(frame, "y").to_c(tmp_path / "m.c", dtype="float32")
    told = re.search(r"likely inputs\n \* was (\S+)\.\n", (tmp_path / "m.c").read_text())
    assert told is not None
    assert 1e-5 < float(told[1]) < 1e-3  # and 8e-7 of rows around 0


@needs_cc
def test_names_that_differ_in_case_alone(tmp_path):
    net = dl.Network((2, 3, 1), seed=0)
    main = '#include "net.h"\n#include "other.h"\n'
    main += "int main(void) { return net_self_test() + Net_self_test(); }\n"
    net.to_c(tmp_path / "net.c", name="net", header=True)
    net.to_c(tmp_path / "other.c", name="Net", header=True)
    (tmp_path / "main.c").write_text(main)
    files = [str(tmp_path / name) for name in ("main.c", "net.c", "other.c")]
    program = str(tmp_path / "program")
    subprocess.run([CC, *STRICT, "-O1", *files, "-lm", "-o", program], check=True)
    subprocess.run([program], check=True)


def test_enumerators_are_different_ones(tmp_path):
    pytest.importorskip("narwhals")
    from deltaloop.tabular import TabularModel

    frame = {
        "a": ["b_is_c", "d"] * 20,
        "a_is_b": ["c", "d", "d", "c"] * 10,
        "x_is_a": np.arange(40.0),
        "column_x": ["a", "b"] * 20,
        "y": np.arange(40.0) % 7,
    }
    TabularModel(seed=0).fit(frame, "y", max_epochs=2, solver=dl.LBFGS()).to_c(tmp_path / "m.c")
    words = re.findall(r"^    (MODEL_\w+) = ", (tmp_path / "m.c").read_text(), re.M)
    assert len(words) > 10
    assert len(set(words)) == len(words)


@pytest.mark.parametrize("name", ["sin", "memcpy", "size_t", "NULL", "y0"])
def test_casadis_function_has_no_name_of_the_library(tmp_path, name):
    net = dl.Network([1, 1])
    with pytest.raises(ValueError, match=f"a function that is called {name}, as one of the C"):
        net.to_c(tmp_path / "net.c", name=name, casadi=True)
    net.to_c(tmp_path / "net.c", name=name)
