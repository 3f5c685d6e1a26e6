"""Networks and ``torch.nn.Sequential``: layer by layer, both ways, in float64.

`Exp`, `Step` and `Residual` are what ``torch.nn`` has no modules for. Importing this needs PyTorch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from deltaloop import _layers

if TYPE_CHECKING:
    from deltaloop.network import Network

__all__ = ["Exp", "Residual", "Step"]


class Exp(nn.Module):
    """The activation exp(z)."""

    def forward(self, z: Any) -> Any:
        """Return exp(z)."""
        return torch.exp(z)


class Step(nn.Module):
    """The activation that is 1 for z > 0, else 0."""

    def forward(self, z: Any) -> Any:
        """Return 1 where z > 0, else 0, in z's type."""
        return (z > 0).to(z.dtype)


class Residual(nn.Sequential):
    """A linear layer and its activation with a skip connection around both: g(z) + x."""

    def forward(self, x: Any) -> Any:
        """Return g(z) + x."""
        return super().forward(x) + x


# PyTorch's softplus is z itself where z is above the threshold: 2e-9 off for its default of 20,
# 4e-18 for 40.
_MODULES: dict[str, Any] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.01),
    "elu": nn.ELU,
    "softplus": lambda: nn.Softplus(threshold=40.0),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "exp": Exp,
    "step": Step,
    "softmax": lambda: nn.Softmax(dim=-1),
}

# What the settings of an activation must be.
_SETTINGS: dict[str, dict[str, tuple[object, ...]]] = {
    "leaky_relu": {"negative_slope": (0.01,)},
    "elu": {"alpha": (1.0,)},
    "softplus": {"beta": (1.0,)},
    "gelu": {"approximate": ("none",)},
    "softmax": {"dim": (-1, 1, None)},
}
_ACTIVATIONS = {type(make()): name for name, make in _MODULES.items()}


def to_torch(network: Network) -> nn.Sequential:
    """Make a module of a network; see `Network.to_torch`."""
    skips = _layers.skips(network.layers) if network.residual else ()
    names = (*network.activation, network.output)
    modules: list[nn.Module] = []
    layers = zip(network.weights, network.biases, names, strict=True)
    for l, (w, b, name) in enumerate(layers, start=1):
        layer = [_linear(w, b), *([_MODULES[name]()] if name != "identity" else [])]
        modules += [Residual(*layer)] if l in skips else layer
    return nn.Sequential(*modules)


def _linear(w: Any, b: Any) -> nn.Linear:
    """Return a layer with these parameters, copied; PyTorch's weights are transposed."""
    linear = nn.Linear(*w.shape, device="meta", dtype=torch.float64)
    linear.weight = nn.Parameter(torch.from_numpy(w.T.copy()))
    linear.bias = nn.Parameter(torch.from_numpy(b.copy()))
    return linear


class _Layer:
    """A linear layer, and what was found behind it."""

    def __init__(self, linear: nn.Linear) -> None:
        self.weights = _numbers(linear.weight).T
        self.biases = (
            np.zeros(self.weights.shape[1]) if linear.bias is None else _numbers(linear.bias)
        )
        self.activation = "identity"
        self.open = True  # for an activation
        self.residual = False


def _numbers(parameter: Any) -> Any:
    return parameter.detach().cpu().double().numpy()


def layers(module: object) -> tuple[list[Any], list[Any], list[str], bool]:
    """Return the weights, biases and activations of a module, and whether it is residual."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Sequential, got {type(module).__name__}")
    found: list[_Layer] = []
    _walk(module, "module", found)
    if not found:
        raise ValueError("module must have at least one torch.nn.Linear, got none")
    sizes = [found[0].weights.shape[0], *(layer.weights.shape[1] for layer in found)]
    return (
        [layer.weights for layer in found],
        [layer.biases for layer in found],
        [layer.activation for layer in found],
        _layers.is_residual(sizes, [layer.residual for layer in found]),
    )


def _walk(module: nn.Module, name: str, found: list[_Layer]) -> None:
    """Add the layers of a module to those found."""
    kind = type(module)
    if kind is Residual:
        before = len(found)
        for number, part in enumerate(module):
            _walk(part, f"{name}[{number}]", found)
        if len(found) != before + 1:
            raise ValueError(f"{name} must hold one torch.nn.Linear, got {len(found) - before}")
        found[-1].residual, found[-1].open = True, False
    elif isinstance(module, nn.Sequential) and kind.forward is nn.Sequential.forward:
        for number, part in enumerate(module):
            _walk(part, f"{name}[{number}]", found)
    elif kind is nn.Linear:
        found.append(_Layer(module))
    elif kind in _ACTIVATIONS:
        activation = _activation(module, name)
        if not (found and found[-1].open):
            raise ValueError(f"{name} must follow a torch.nn.Linear, got {module} elsewhere")
        found[-1].activation, found[-1].open = activation, False
    elif not (kind in (nn.Dropout, nn.Identity) or (kind is nn.Flatten and _is_plain(module))):
        raise ValueError(
            f"{name} must be a torch.nn.Linear, an activation that deltaloop has, or a Sequential "
            f"of them, got {_shown(module)}"
        )


def _activation(module: nn.Module, name: str) -> str:
    """Return the name of an activation whose settings are those that it stands for."""
    activation = _ACTIVATIONS[type(module)]
    for key, allowed in _SETTINGS.get(activation, {}).items():
        value = getattr(module, key)
        if value not in allowed:
            raise ValueError(f"{name}.{key} must be {allowed[0]!r}, got {value!r}")
    if activation == "softplus" and module.threshold < 20:
        raise ValueError(f"{name}.threshold must be at least 20, got {module.threshold!r}")
    return activation


def _is_plain(flatten: nn.Flatten) -> bool:
    """Whether it makes a row of each instance."""
    return (flatten.start_dim, flatten.end_dim) == (1, -1)


def _shown(module: nn.Module) -> str:
    text = repr(module).replace("\n", " ")
    hint = "; leave out LogSoftmax and give loss='cross_entropy'"
    return f"{text[:80]}{hint if type(module) is nn.LogSoftmax else ''}"
