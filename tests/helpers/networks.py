"""Networks to try a call on, and what must not change when the call is refused."""

from __future__ import annotations

import pickle
import re
from contextlib import contextmanager

import numpy as np
import pytest

import deltaloop as dl
from tests.helpers.arrays import fingerprint


def xor(seed=4, **options):
    """A network for XOR."""
    return dl.Network([2, 3, 1], seed=seed, **options)


class Named(dl.Network):
    """A subclass with attributes, and a constructor of its own."""

    def __init__(self, layers, name, **options):
        super().__init__(layers, **options)
        self.name = name
        self.notes = []


def pickled(protocol):
    """A function that sends its argument through a pickle."""
    return lambda net: pickle.loads(pickle.dumps(net, protocol))


def trained(layers=(2, 3, 1), **options):
    """A network whose stream has been drawn from, and whose parameters are not the initial ones."""
    net = dl.Network(layers, seed=4, **options)
    if "step" not in (*net.activation, net.output):
        y = np.full((4, layers[-1]), 1 / layers[-1])
        solver = dl.GradientDescent(0.1, batch_size=2)
        net.fit(np.ones((4, layers[0])), y, solver=solver, max_epochs=3)
        assert net._position > net.n_parameters or net.init != "uniform"
    return net


def state(net):
    """Everything of a network that a call could change."""
    return (
        net.parameters.ctypes.data,
        net.parameters.tobytes(),
        net._position,
        (net.layers, net.activation, net.output, net.loss, net.init, net.seed, net.scaling),
        net._held,
    )


@contextmanager
def refuses(error, *words, net=None, watched=()):
    """The block raises; the message has the words in this order; nothing has changed a bit."""
    before = state(net) if net else None, [fingerprint(value) for value in watched]
    with pytest.raises(error) as caught:
        yield caught
    assert type(caught.value) is error
    assert re.search(".*".join(map(re.escape, words)), str(caught.value), re.DOTALL), caught.value
    assert (state(net) if net else None, [fingerprint(value) for value in watched]) == before


def variants(net):
    """The network for 1, 2 and 3 threads, however little there is for each, and small chunks."""
    for threads, chunk in ((1, 0), (2, 0), (3, 0), (1, 5), (2, 24), (3, 100)):
        other = net.copy()
        other._grain, other._chunk_rows = 1.0, chunk
        yield other, threads
