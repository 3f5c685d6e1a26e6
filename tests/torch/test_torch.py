"""Modules of PyTorch, there and back."""

from __future__ import annotations

import collections
import io

import numpy as np
import pytest

from tests.helpers.compare import difference

torch = pytest.importorskip("torch")

import deltaloop as dl  # noqa: E402
import deltaloop.torch  # noqa: E402
from deltaloop._arguments.layers import HIDDEN  # noqa: E402

nn = torch.nn


def output_of(module, X):
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


class TestToTorch:
    def test_activation_without_a_module_is_named(self, monkeypatch):
        monkeypatch.delitem(deltaloop.torch._MODULES, "mish")
        net = dl.Network([1, 2, 2, 1], activation=["tanh", "mish"], output="identity", seed=0)
        with pytest.raises(ValueError, match=r"mish units of layer 2 .*torch=Module"):
            net.to_torch()

    @pytest.mark.parametrize("activation", HIDDEN)
    def test_activations_everywhere(self, activation):
        network = dl.Network.from_weights(
            [[[1.0]], [[1.0]]], [[0.0], [0.0]], activation=activation, output="identity"
        )
        z = np.concatenate(
            [np.linspace(-60, 60, 5001), *(np.array([10.0**k]) for k in range(-300, 300, 7))]
        )
        X = np.concatenate([z, -z, [0.0]]).reshape(-1, 1)
        assert difference(output_of(network.to_torch(), X), network.predict(X)) < 1e-12

    @pytest.mark.parametrize("residual", [False, True])
    @pytest.mark.parametrize("output", ["same", "softmax"])
    @pytest.mark.parametrize("activation", HIDDEN)
    def test_round_trip(self, activation, output, residual):
        rng = np.random.default_rng()
        m0, width, n_outputs = rng.integers(2, 20, size=3)
        network = dl.Network(
            [m0, width, width, n_outputs],
            activation=activation,
            output={"same": activation}.get(output, output),
            residual=residual,
            seed=rng,
        )
        network.parameters[:] *= 0.3
        module = network.to_torch()
        assert isinstance(module, nn.Sequential)
        assert all(p.dtype == torch.float64 and p.requires_grad for p in module.parameters())
        X = rng.normal(size=(30, m0))
        assert difference(output_of(module, X), network.predict(X)) < 1e-12
        back = dl.from_torch(module, loss=network.loss, seed=network.seed)
        assert repr(back) == repr(network)
        assert back.parameters.tobytes() == network.parameters.tobytes()

    def test_what_it_is_made_of(self):
        network = dl.Network([4, 3, 2], activation="tanh", loss="cross_entropy", seed=0)
        module = network.to_torch()
        assert [type(part) for part in module] == [nn.Linear, nn.Tanh, nn.Linear, nn.Softmax]
        np.testing.assert_array_equal(module[0].weight.detach().numpy(), network.weights[0].T)
        assert module[0].weight.is_contiguous()

    def test_parameters_are_copies(self):
        network = dl.Network([2, 3, 1], seed=0)
        before = network.parameters.copy()
        module = network.to_torch()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.zero_()
        np.testing.assert_array_equal(network.parameters, before)
        back = dl.from_torch(module)
        back.parameters[:] = 1
        assert not any(parameter.any() for parameter in module.parameters())

    def test_random_numbers_of_pytorch_are_left_alone(self):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        dl.Network([2, 3, 1], seed=0).to_torch()
        assert torch.equal(torch.get_rng_state(), before)

    def test_it_trains_on(self):
        """A step of gradient descent in PyTorch is one of ours."""
        rng = np.random.default_rng()
        X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
        network = dl.Network([3, 3, 2], activation="gelu", residual=True, seed=rng)
        module = network.to_torch()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
        loss = 0.5 * ((module(torch.from_numpy(X)) - torch.from_numpy(Y)) ** 2).sum()
        loss.backward()
        optimizer.step()
        network.fit(X, Y, solver=dl.GradientDescent(0.01), max_epochs=1)
        trained = dl.from_torch(module)
        np.testing.assert_allclose(trained.parameters, network.parameters, rtol=1e-10, atol=1e-12)

    def test_saved_and_loaded(self):
        network = dl.Network([3, 3, 2], activation=["exp"], residual=True, seed=0)
        module, other = network.to_torch(), dl.Network([3, 3, 2], residual=True, seed=1).to_torch()
        file = io.BytesIO()
        torch.save(module.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        np.testing.assert_array_equal(dl.from_torch(other).parameters, network.parameters)


class TestFromTorch:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    def test_parameters_are_widened(self, dtype):
        module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)).to(dtype)
        network = dl.from_torch(module)
        for w, b, linear in zip(network.weights, network.biases, module[::2], strict=True):
            np.testing.assert_array_equal(w, linear.weight.detach().double().numpy().T)
            np.testing.assert_array_equal(b, linear.bias.detach().double().numpy())

    def test_parts(self):
        module = nn.Sequential(
            nn.Flatten(),
            nn.Sequential(
                nn.Linear(6, 5), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)), nn.Identity()
            ),
            nn.Linear(5, 4, bias=False),
            nn.Linear(4, 3),
            nn.Softmax(dim=1),
        ).double()
        network = dl.from_torch(module.eval())
        assert network.layers == (6, 5, 4, 3)
        assert network.activation == ("relu", "identity")
        assert (network.output, network.loss) == ("softmax", "cross_entropy")
        assert not network.biases[1].any()
        X = np.random.default_rng().normal(size=(20, 6))
        assert difference(output_of(module, X.reshape(20, 2, 3)), network.predict(X)) < 1e-12

    def test_the_same_activation_twice(self):
        act = nn.ReLU()
        module = nn.Sequential(nn.Linear(2, 3), act, nn.Linear(3, 3), act, nn.Linear(3, 1))
        assert dl.from_torch(module).activation == ("relu", "relu")

    def test_names_and_a_single_layer(self):
        named = collections.OrderedDict(first=nn.Linear(2, 3), act=nn.Tanh())
        assert dl.from_torch(nn.Sequential(named)).output == "tanh"
        assert dl.from_torch(nn.Linear(2, 3)).layers == (2, 3)

    @pytest.mark.parametrize(
        ("last", "n_outputs", "loss", "output"),
        [
            (None, 3, "cross_entropy", "softmax"),
            (None, 1, "cross_entropy", "sigmoid"),
            (None, 3, "binary_cross_entropy", "sigmoid"),
            (None, 3, "poisson", "exp"),
            (None, 3, dl.Huber(0.5), "identity"),
            (nn.Sigmoid(), 3, "squared_error", "sigmoid"),
        ],
    )
    def test_loss(self, last, n_outputs, loss, output):
        module = nn.Sequential(nn.Linear(2, n_outputs), last or nn.Identity())
        network = dl.from_torch(module, loss=loss)
        assert (network.loss, network.output) == (loss, output)

    @pytest.mark.parametrize(
        ("last", "n_outputs", "loss"),
        [
            (nn.Identity(), 3, "squared_error"),
            (nn.Sigmoid(), 3, "binary_cross_entropy"),
            (nn.Sigmoid(), 1, "cross_entropy"),
            (nn.Softmax(-1), 3, "cross_entropy"),
            (deltaloop.torch.Exp(), 3, "poisson"),
        ],
    )
    def test_loss_by_the_outputs(self, last, n_outputs, loss):
        assert dl.from_torch(nn.Sequential(nn.Linear(2, n_outputs), last)).loss == loss

    @pytest.mark.parametrize(
        ("part", "match"),
        [
            (nn.Conv1d(3, 3, 1), r"module\.1 must be a torch.nn.Linear, an activation .* Conv1d"),
            (nn.BatchNorm1d(3), r"module\.1 must be .*, got BatchNorm1d"),
            (nn.Sequential(nn.Hardswish()), r"module\.1\.0 must be .*, got Hardswish"),
            (
                nn.LogSoftmax(-1),
                r"got LogSoftmax\(dim=-1\); leave out LogSoftmax and give loss='cr",
            ),
            (nn.LeakyReLU(0.2), r"module\.1\.negative_slope must be 0.01, got 0.2"),
            (nn.ELU(0.5), r"module\.1\.alpha must be 1.0, got 0.5"),
            (nn.Softplus(2.0), r"module\.1\.beta must be 1.0, got 2.0"),
            (nn.Softplus(1.0, 5.0), r"module\.1\.threshold must be at least 20, got 5.0"),
            (nn.GELU("tanh"), r"module\.1\.approximate must be 'none', got 'tanh'"),
            (nn.Softmax(0), r"module\.1\.dim must be -1, got 0"),
            (
                nn.Sequential(nn.ReLU(), nn.Tanh()),
                r"module\.1\.1 must follow a torch.nn.Linear",
            ),
            (nn.Flatten(0), r"got Flatten\(start_dim=0, end_dim=-1\)"),
            (nn.Bilinear(3, 3, 3), "got Bilinear"),
            (nn.Linear(4, 3), r"weights\[1\] must have 3 rows"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_other_parts(self, part, match):
        with pytest.raises(ValueError, match=match) as caught:
            dl.from_torch(nn.Sequential(nn.Linear(2, 3), part))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("base", "arguments"),
        [
            (nn.Linear, (2, 3)),
            (nn.ReLU, ()),
            (nn.Sequential, (nn.Linear(2, 3),)),
            (deltaloop.torch.Residual, (nn.Linear(2, 2),)),
        ],
    )
    @pytest.mark.parametrize("method", ["forward", "__call__"])
    def test_subclasses_with_a_pass_of_their_own(self, method, base, arguments):
        def twice(self, x):
            return 2 * getattr(base, method)(self, x)

        kind = type("Twice", (base,), {method: twice})
        module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(kind(*arguments)))
        match = rf"module\.1\.0 must be .*, got Twice\(.*, a subclass of {base.__name__}\b"
        with pytest.raises(ValueError, match=match) as caught:
            dl.from_torch(module)
        assert "\n" not in str(caught.value)

    def test_a_sequential_that_iterates_otherwise(self):
        class Backwards(nn.Sequential):
            def __iter__(self):
                return reversed(list(super().__iter__()))

        with pytest.raises(ValueError, match=r"module must be .* got Backwards"):
            dl.from_torch(Backwards(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))

    def test_subclasses_of_sequential_without_one(self):
        class Perceptron(nn.Sequential):
            def __init__(self):
                super().__init__(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))

        module = Perceptron().double()
        X = np.random.default_rng().normal(size=(20, 2))
        assert difference(output_of(module, X), dl.from_torch(module).predict(X)) < 1e-12

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what PyTorch imports for it
    def test_compiled(self):
        module = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        compiled = torch.compile(module, backend="eager")
        with pytest.raises(ValueError, match=r"^module must be .*, got OptimizedModule\("):
            dl.from_torch(compiled)
        module.compile(backend="eager")
        assert dl.from_torch(module).output == "tanh"

    def test_lazy_layers(self):
        module = nn.Sequential(nn.LazyLinear(3), nn.ReLU(), nn.LazyLinear(2)).double()
        with pytest.raises(ValueError, match=r"module\.0 must be .*, got LazyLinear"):
            dl.from_torch(module)
        X = np.random.default_rng().normal(size=(20, 4))
        expected = output_of(module, X)
        assert difference(expected, dl.from_torch(module).predict(X)) < 1e-12

    @pytest.mark.parametrize("name", ["", "0", "1", "1.inner", "1.inner.0", "1.inner.1", "2", "3"])
    def test_what_was_done_to_a_module(self, name):
        inner = nn.Sequential(nn.Linear(3, 4), nn.Tanh())
        module = nn.Sequential(
            nn.Linear(2, 3),
            nn.Sequential(collections.OrderedDict(inner=inner)),
            nn.Dropout(),
            deltaloop.torch.Residual(nn.Linear(4, 4)),
            nn.Linear(4, 1),
        ).eval()
        X = np.random.default_rng().normal(size=(5, 2)).astype(np.float32)
        before, part = output_of(module, X), module.get_submodule(name)
        dotted = ".".join(["module", *([name] if name else [])]).replace(".", r"\.")

        def refused(match):
            assert not np.array_equal(output_of(module, X), before)
            with pytest.raises(ValueError, match=f"^{dotted}{match}"):
                dl.from_torch(module)

        def add_one(*args):
            return args[-1] + 1

        hook = part.register_forward_hook(add_one)
        refused(r" must have no forward hooks, .* got add_one; remove")
        hook.remove()
        hook = part.register_forward_pre_hook(lambda _, args: (args[0] + 1,))
        refused(r" must have no forward pre-hooks, .* got <lambda>; remove")
        hook.remove()
        theirs = part.forward
        part.forward = lambda x: theirs(x) + 1
        refused(rf"\.forward must be that of {type(part).__name__}, got another one")
        del part.forward
        part.register_full_backward_hook(lambda *_: None)
        assert abs(dl.from_torch(module).predict(X) - before).max() < 1e-5

    def test_parametrizations(self):
        utils = nn.utils.parametrizations
        for make in (utils.weight_norm, utils.spectral_norm, utils.orthogonal):
            module = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), make(nn.Linear(3, 3))).double()
            state = {key: value.clone() for key, value in module.state_dict().items()}
            match = r"^module\.2 must have no parametrizations, got some, of weight; .*remove_param"
            with pytest.raises(ValueError, match=match):
                dl.from_torch(module)
            assert all(torch.equal(state[key], value) for key, value in module.state_dict().items())
            nn.utils.parametrize.remove_parametrizations(module[2], "weight")
            X = np.random.default_rng().normal(size=(20, 4))
            assert difference(output_of(module, X), dl.from_torch(module).predict(X)) < 1e-12

    def test_pruning(self):
        from torch.nn.utils import prune

        module = nn.Sequential(nn.Linear(4, 3)).double()
        prune.l1_unstructured(module[0], "weight", amount=0.5)
        with pytest.raises(ValueError, match=r"module\.0 must have no forward pre-.* L1Unstruct"):
            dl.from_torch(module)
        prune.remove(module[0], "weight")
        assert (dl.from_torch(module).weights[0] == 0).sum() == 6

    @pytest.mark.parametrize(
        ("name", "change", "error", "match"),
        [
            (
                "weight",
                lambda w: w.to(torch.complex64),
                TypeError,
                "of floats, got torch.complex64",
            ),
            ("bias", lambda b: b.to(torch.cdouble), TypeError, "of floats, got torch.complex128"),
            ("weight", lambda w: w.to(torch.int8), TypeError, "of floats, got torch.int8"),
            ("weight", lambda w: w.to_sparse(), ValueError, "dense, got torch.sparse_coo"),
            ("weight", lambda w: w[0], ValueError, r"2-D, got shape \(3,\)"),
            ("bias", lambda b: b[0], ValueError, r"1-D, got shape \(\)"),
            ("bias", lambda b: b.to("meta"), ValueError, "filled, got a tensor on the meta device"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_parameters_of_other_kinds(self, name, change, error, match):
        module = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Tanh(), nn.Linear(3, 4)))
        changed = change(getattr(module[1][1], name).detach())
        setattr(module[1][1], name, nn.Parameter(changed, requires_grad=False))
        with pytest.raises(error, match=rf"^module\.1\.1\.{name} must be {match}"):
            dl.from_torch(module)

    def test_modules_on_the_meta_device(self):
        module = nn.Sequential(nn.Linear(2, 3, device="meta"), nn.Tanh())
        with pytest.raises(ValueError, match=r"module\.0\.weight must be filled, got .* the meta"):
            dl.from_torch(module)

    def test_no_weights(self):
        module = nn.Sequential(nn.Linear(2, 3))
        module[0].weight = None
        with pytest.raises(TypeError, match=r"module\.0\.weight must be .*Parameter, got NoneType"):
            dl.from_torch(module)

    def test_tensors_without_memory(self):
        with torch._subclasses.FakeTensorMode():
            module = nn.Sequential(nn.Linear(2, 3))
        match = r"module\.0\.weight must be a torch.nn.Parameter, got FakeTensor"
        with pytest.raises(TypeError, match=match):
            dl.from_torch(module)

    def test_wrong_arguments(self):
        with pytest.raises(TypeError, match=r"module must be a torch.nn.Sequential, got int"):
            dl.from_torch(3)
        with pytest.raises(ValueError, match=r"at least one torch.nn.Linear, got none"):
            dl.from_torch(nn.Sequential(nn.Dropout()))
        with pytest.raises(ValueError, match=r"module\.0 must follow a torch.nn.Linear"):
            dl.from_torch(nn.Sequential(nn.ReLU(), nn.Linear(2, 3)))
        residual = deltaloop.torch.Residual
        with pytest.raises(ValueError, match=r"module\.0 must hold one torch.nn.Linear, got 2"):
            dl.from_torch(
                nn.Sequential(residual(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 1))
            )
        partly = [residual(nn.Linear(2, 2)), nn.Linear(2, 2), nn.Linear(2, 1)]
        with pytest.raises(ValueError, match=r"\[1, 2\], or none, found them around \[1\]"):
            dl.from_torch(nn.Sequential(*partly))
        module = nn.Sequential(nn.Linear(2, 3))
        with torch.no_grad():
            module[0].weight[1, 1] = torch.nan
        with pytest.raises(ValueError, match=r"weights\[0\]"):
            dl.from_torch(module)


def test_without_pytorch(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "deltaloop.torch", None)
    monkeypatch.delattr(deltaloop, "torch")
    for call in (dl.Network([2, 1], seed=0).to_torch, lambda: dl.from_torch(None)):
        with pytest.raises(ImportError, match="needs PyTorch: pip install torch"):
            call()
