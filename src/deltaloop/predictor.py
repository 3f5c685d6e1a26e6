"""The predictor: fixed buffers, and the prediction as a C function.

The call itself is in ``_extension/predictor.pxi``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, cast

from deltaloop import _core, _scalars

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

    from deltaloop.network import Network


class Predictor(_core.Predictor):
    """Predictions through fixed buffers, for callers that count every nanosecond.

    Made by ``Network.predictor``. Write instances to ``x``, call the predictor, read ``y``. It
    follows later changes of the network's parameters. The buffers serve one call at a time: threads
    need a predictor each. ``capsule`` gives the same as a C function.

    Parameters
    ----------
    network : Network
        What predicts.
    n : int, default 1
        Instances per call.

    Raises
    ------
    TypeError, ValueError
        As for ``Network.predictor``.

    Examples
    --------
    >>> import deltaloop as dl
    >>> net = dl.Network.from_weights([[[1.0], [1.0]]], [[-1.5]], activation="step")
    >>> predictor = net.predictor()
    >>> predictor.x[:] = 1.0, 1.0
    >>> predictor()
    array([1.])
    """

    __slots__ = ()

    def __new__(cls, network: Network, n: int = 1) -> Self:
        """Check the arguments, which are those of ``Network.predictor``."""
        _core.check_core(network)
        layers = network.layers
        return super().__new__(cls, network, _scalars.rows("n", n, max(layers[0], layers[-1])))

    @property
    def network(self) -> Network:
        """The network that predicts."""
        return cast("Network", self._network)

    def capsule(self, signature: str = _core.SIGNATURES[0]) -> CapsuleType:
        """Return the prediction as a C function, for compiled code to call without Python.

        Parameters
        ----------
        signature : str
            The C type of the function, one of

            - ``"void (const double *, double *, void *)"``: writes a^(L) (n, mL) of the instances
              (n, m0) at the first pointer to the second; they must not overlap.
            - ``"double (int, double *, void *)"``: returns a^(L) of one instance, whose length
              comes first; NaN if that is not m0. For n = 1 and networks with one output. This is
              what ``scipy.LowLevelCallable`` takes for ``scipy.integrate.quad`` and ``nquad``.

        Returns
        -------
        capsule
            A PyCapsule, named by the signature. Its pointer is the function and its context the
            last argument of each call; both are valid as long as the capsule exists. The function
            reads the network's parameters as they are at each call, needs no GIL, allocates
            nothing, cannot fail and gives the bits of ``Network.predict``. Each capsule has memory
            of its own, for one call at a time: threads need a capsule each.

        Raises
        ------
        TypeError, ValueError
            If the signature is not one of these, or does not fit the network or n.

        Examples
        --------
        >>> import deltaloop as dl
        >>> predictor = dl.Network([2, 3, 1], seed=0).predictor()
        >>> predictor.capsule()  # doctest: +ELLIPSIS
        <capsule object "void (const double *, double *, void *)" at 0x...>
        """
        known = _scalars.choice("signature", signature, _core.SIGNATURES)
        scalar, outputs = known != _core.SIGNATURES[0], self._network.layers[-1]
        if scalar and (self._n != 1 or outputs != 1):
            raise ValueError(
                f"{known!r} needs a predictor of one instance and a network with one output,"
                f" got n = {self._n} and m^(L) = {outputs}"
            )
        return self._capsule(scalar)
