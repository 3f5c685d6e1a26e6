"""Copies, pickles and files of networks: the same bits, independent, with the same stream."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.cases import make_case, xor_data
from tests.helpers.compare import same
from tests.helpers.networks import Named, pickled, xor
from tests.helpers.processes import run_python

X, Y = xor_data()
GD = dl.GradientDescent(0.5)


# ---- copies ----

COPIES = {
    "copy()": lambda net: net.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    **{f"pickle {p}": pickled(p) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.fixture(params=COPIES)
def copied(request):
    return COPIES[request.param]


@pytest.mark.parametrize(
    ("layers", "options"),
    [
        ([2, 3, 1], {}),
        ([2, 1], {"init": "he_normal"}),
        ([2, 3, 4, 3], {"activation": ["relu", "tanh"], "loss": "cross_entropy"}),
        ([2, 3, 2], {"loss": "binary_cross_entropy", "init": "lecun_uniform"}),
        ([2, 3, 2], {"activation": "step"}),
    ],
)
def test_copies_are_the_same_and_independent(copied, layers, options):
    net = dl.Network(layers, seed=9, **options)
    twin = copied(net)
    assert type(twin) is dl.Network
    for name in ("layers", "activation", "output", "loss", "init", "seed", "n_parameters"):
        assert getattr(twin, name) == getattr(net, name)
    assert repr(twin) == repr(net)
    assert same(twin.parameters, net.parameters)
    assert same(twin.predict(X), net.predict(X))
    assert not np.shares_memory(twin.parameters, net.parameters)
    before = net.parameters.copy()
    twin.parameters[:] = 0.0
    assert same(net.parameters, before)
    net.parameters[:] = 1.0
    assert (twin.parameters == 0).all()


def test_copies_of_a_network_from_weights(copied):
    net = dl.Network.from_weights([np.ones((2, 1))], [[0.5]], activation="step", seed=2**100)
    twin = copied(net)
    assert (twin.init, twin.seed, twin.output) == (None, 2**100, "step")
    assert same(twin.parameters, net.parameters)


def test_copies_carry_every_bit(copied):
    """NaN with its payload, infinities, subnormals and the sign of zero."""
    net = xor()
    net.parameters[:7] = np.array(
        [0x7FF8000000000001, 0xFFF8DEADBEEF0000, 0x7FF0 << 48, 0xFFF0 << 48, 1, 1 << 63, 0],
        dtype=np.uint64,
    ).view(np.float64)
    assert same(copied(net).parameters, net.parameters)


def test_copies_of_a_subclass(copied):
    net = Named([2, 3, 1], "first", seed=1)
    net.notes.append(net.biases[0].copy())
    twin = copied(net)
    assert type(twin) is Named
    assert twin.name == "first"
    assert same(twin.notes[0], net.biases[0])
    assert same(twin.parameters, net.parameters)
    twin.name = "second"
    assert net.name == "first"
    net.notes.append(1)
    assert len(twin.notes) == (2 if copied in (COPIES["copy()"], copy.copy) else 1)


def test_copies_of_an_instance_with_attributes(copied):
    net = xor()
    net.comment = "mine"
    assert copied(net).comment == "mine"


def test_copies_of_a_subclass_that_refers_to_itself(copied):
    net = Named([2, 3, 1], "first", seed=1)
    net.me = net
    twin = copied(net)
    assert twin.me is (net if copied in (COPIES["copy()"], copy.copy) else twin)


def test_copies_keep_what_is_shared():
    net = xor()
    for a, b in (copy.deepcopy([net, net]), pickle.loads(pickle.dumps([net, net]))):
        assert a is b
        assert a is not net


def test_pickled_elsewhere(tmp_path):
    """Written by another process, read here."""
    path = tmp_path / "net.pickle"
    run_python(
        "import pickle, sys, deltaloop as dl\n"
        "net = dl.Network([2, 3, 1], seed=4)\n"
        "pickle.dump(net, open(sys.argv[1], 'wb'))",
        str(path),
    )
    assert same(pickle.loads(path.read_bytes()).parameters, xor().parameters)


def test_trainers_and_predictors_are_not_copied():
    net = xor()
    for thing in (net.trainer(GD), net.predictor()):
        for function in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError):
                function(thing)


CASE = make_case((3, 5, 2), "tanh", "identity", "squared_error", n=23, seed=1)
SHUFFLED = dl.GradientDescent(0.01, batch_size=4)


def fitted(net, epochs, **options):
    net.fit(CASE.X, CASE.Y, solver=SHUFFLED, max_epochs=epochs, tol=0, **options)
    return net.parameters.copy()


def test_copies_continue_the_stream(copied):
    net = dl.Network([3, 5, 2], seed=2)
    fitted(net, 3)
    twin = copied(net)
    expected = fitted(net, 4)
    assert same(fitted(twin, 4), expected)
    assert same(fitted(copied(twin), 2), fitted(net, 2))


def test_copies_from_a_callback_continue_the_stream(copied):
    """Also at epochs in the middle of what C trains without coming back."""
    net, taken = dl.Network([3, 5, 2], seed=2), {}

    def take(info):
        assert info.network is net
        taken[info.epoch] = copied(info.network)

    expected = fitted(net, 9, callback=take, callback_every=2)
    assert list(taken) == [2, 4, 6, 8]
    for epoch, twin in taken.items():
        assert same(fitted(twin, 9 - epoch), expected)
    assert same(fitted(taken[8], 3), fitted(net, 3))


def test_files_from_a_callback_continue_the_stream(tmp_path):
    net = dl.Network([3, 5, 2], seed=2)
    path = tmp_path / "best.safetensors"
    expected = fitted(net, 7, callback=lambda info: info.network.save(path), callback_every=4)
    assert same(fitted(dl.load(path), 3), expected)


def test_copies_from_a_callback_of_a_seeded_fit(copied):
    """That fit draws from a stream of its own, the copy continues the network's."""
    net, taken = dl.Network([3, 5, 2], seed=2), []
    position = net._position
    fitted(net, 4, seed=7, callback=lambda info: taken.append(copied(info.network)))
    assert {twin._position for twin in (*taken, net)} == {position}


def test_stream_after_a_callback_that_raised():
    """What was drawn is drawn: going on gives what never stopping gives."""
    net, other = dl.Network([3, 5, 2], seed=2), dl.Network([3, 5, 2], seed=2)

    def fail(info):
        if info.epoch == 3:
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fitted(net, 9, callback=fail)
    assert same(fitted(net, 2), fitted(other, 5))
    fitted(net, 9, callback=lambda info: info.epoch == 2)
    assert same(fitted(net, 1), fitted(other, 3))
