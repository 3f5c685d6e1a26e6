"""Networks and ``torch.nn.Sequential``: layer by layer, both ways, in float64.

`Exp`, `Step`, `Residual`, `Scale` and `Unscale` are what ``torch.nn`` has no modules for. Importing
this needs PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from deltaloop import _core
from deltaloop._activations import ACTIVATIONS, Module
from deltaloop._arguments import layers as _layers
from deltaloop.scaling import Scaling

__all__ = ["Exp", "Residual", "Scale", "Step", "Unscale"]


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


class _Affine(nn.Module):
    """An offset and a scale of each column, which are not trained."""

    def __init__(self, offset: Any, scale: Any) -> None:
        super().__init__()
        self.register_buffer("offset", torch.as_tensor(offset).clone())
        self.register_buffer("scale", torch.as_tensor(scale).clone())

    def extra_repr(self) -> str:
        """Show the number of columns."""
        return str(len(self.offset))


class Scale(_Affine):
    """What a network's scaling does to its inputs: (x - offset) / scale."""

    def forward(self, x: Any) -> Any:
        """Return (x - offset) / scale."""
        return (x - self.offset) / self.scale


class Unscale(_Affine):
    """What a network's scaling does to its outputs: a * scale + offset."""

    def forward(self, a: Any) -> Any:
        """Return a * scale + offset."""
        return a * self.scale + self.offset


def _make(row: Module) -> nn.Module:
    """Make the module of an activation: of torch.nn, or one of the above."""
    kind: Any = getattr(nn, row.name) if hasattr(nn, row.name) else globals()[row.name]
    module: nn.Module = kind(**row.arguments)
    return module


_MODULES = {name: row.torch for name, row in ACTIVATIONS.items() if row.torch is not None}
_ACTIVATIONS = {type(_make(row)): name for name, row in _MODULES.items()}

# What runs a module.
_RUN = ("forward", "__call__", "_call_impl", "__iter__")


def to_torch(network: _core.Core) -> nn.Sequential:
    """Make a module of a network; see `Network.to_torch`."""
    skips = _layers.skips(network.layers) if network.residual else ()
    names = (*network.activation, network.output)
    modules: list[nn.Module] = []
    layers = zip(*_layers.views(network.layers, network._parameters), names, strict=True)
    for l, (w, b, name) in enumerate(layers, start=1):
        layer = [_linear(w, b), *([] if name == "identity" else [_module(name, l)])]
        modules += [Residual(*layer)] if l in skips else layer
    scaling = network._scaling
    if scaling is not None and scaling.scales_inputs:
        modules.insert(0, Scale(scaling.input_offset.copy(), scaling.input_scale.copy()))
    if scaling is not None and scaling.scales_outputs:
        modules.append(Unscale(scaling.output_offset.copy(), scaling.output_scale.copy()))
    return nn.Sequential(*modules)


def _module(activation: str, l: int) -> nn.Module:
    """Return the module of the activation of layer l. ValueError if there is none."""
    if activation not in _MODULES:
        raise ValueError(
            f"to_torch needs a module for each activation, and the {activation} units of layer {l} "
            "have none; give their row in deltaloop/_activations.py torch=Module(...)"
        )
    return _make(_MODULES[activation])


def _linear(w: Any, b: Any) -> nn.Linear:
    """Return a layer with these parameters, copied; PyTorch's weights are transposed."""
    linear = nn.Linear(*w.shape, device="meta", dtype=torch.float64)
    linear.weight = nn.Parameter(torch.from_numpy(w.T.copy()))
    linear.bias = nn.Parameter(torch.from_numpy(b.copy()))
    return linear


class _Layer:
    """A linear layer, and what was found behind it."""

    def __init__(self, linear: nn.Linear, name: str) -> None:
        self.weights = _numbers(linear.weight, 2, f"{name}.weight").T
        self.biases = (
            np.zeros(self.weights.shape[1])
            if linear.bias is None
            else _numbers(linear.bias, 1, f"{name}.bias")
        )
        self.activation = "identity"
        self.open = True  # for an activation
        self.residual = False


class _Found(list[_Layer]):
    """The layers so far, and what stands before and behind them."""

    scale: tuple[Any, Any] | None = None
    unscale: tuple[Any, Any] | None = None

    def add(self, layer: _Layer, name: str) -> None:
        """Add a layer."""
        if self.unscale is not None:
            raise ValueError(f"{name} must not follow Unscale, got a torch.nn.Linear there")
        self.append(layer)

    def add_affine(self, module: _Affine, name: str) -> None:
        """Take the scaling of inputs, or of outputs."""
        arrays = (
            _numbers(module.offset, 1, f"{name}.offset"),
            _numbers(module.scale, 1, f"{name}.scale"),
        )
        if type(module) is Scale:
            if self or self.scale is not None:
                raise ValueError(f"{name} must stand before all layers, once, got Scale elsewhere")
            self.scale = arrays
        else:
            if not self or self.unscale is not None:
                raise ValueError(f"{name} must stand behind all layers, once, got it elsewhere")
            self.unscale = arrays
            self[-1].open = False

    def scaling(self) -> Scaling | None:
        """Return both as one scaling, or None where there is none."""
        if self.scale is None and self.unscale is None:
            return None
        m_in, m_out = self[0].weights.shape[0], self[-1].weights.shape[1]
        inputs = self.scale or (np.zeros(m_in), np.ones(m_in))
        return Scaling(*inputs, *(self.unscale or (np.zeros(m_out), np.ones(m_out))))


def _numbers(parameter: Any, ndim: int, name: str) -> Any:
    """Return a parameter in float64; one whose numbers would be others is refused."""
    if type(parameter) not in (nn.Parameter, torch.Tensor):
        raise TypeError(f"{name} must be a torch.nn.Parameter, got {_shown_type(parameter)}")
    if not parameter.is_floating_point():
        raise TypeError(f"{name} must be of floats, got {parameter.dtype}")
    if parameter.layout is not torch.strided:
        raise ValueError(f"{name} must be dense, got {parameter.layout}; to_dense() makes it so")
    if parameter.is_meta:
        raise ValueError(f"{name} must be filled, got a tensor on the meta device, without values")
    if parameter.ndim != ndim:
        raise ValueError(f"{name} must be {ndim}-D, got shape {tuple(parameter.shape)}")
    return parameter.detach().cpu().double().numpy()


def layers(
    module: object,
) -> tuple[list[Any], list[Any], list[str], bool, Scaling | None]:
    """Return the weights, biases and activations, whether it is residual, and its scaling."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Sequential, got {type(module).__name__}")
    found = _Found()
    _walk(module, "module", found)
    if not found:
        raise ValueError("module must have at least one torch.nn.Linear, got none")
    sizes = [found[0].weights.shape[0], *(layer.weights.shape[1] for layer in found)]
    return (
        [layer.weights for layer in found],
        [layer.biases for layer in found],
        [layer.activation for layer in found],
        _layers.is_residual(sizes, [layer.residual for layer in found]),
        found.scaling(),
    )


def _walk(module: nn.Module, name: str, found: _Found) -> None:
    """Add the layers of a module to those found."""
    if parametrize.is_parametrized(module):
        tensors = ", ".join(module.parametrizations)
        raise ValueError(
            f"{name} must have no parametrizations, got some, of {tensors}; make them permanent "
            f"with torch.nn.utils.parametrize.remove_parametrizations"
        )
    kind = type(module)
    if kind is Residual:
        before = len(found)
        _walk_parts(module, name, found)
        if len(found) != before + 1:
            raise ValueError(f"{name} must hold one torch.nn.Linear, got {len(found) - before}")
        found[-1].residual, found[-1].open = True, False
    elif isinstance(module, nn.Sequential) and all(
        getattr(kind, method) is getattr(nn.Sequential, method) for method in _RUN
    ):
        _walk_parts(module, name, found)
    elif kind is nn.Linear:
        found.add(_Layer(module, name), name)
    elif kind in (Scale, Unscale):
        assert isinstance(module, _Affine)
        found.add_affine(module, name)
    elif kind in _ACTIVATIONS:
        activation = _activation(module, name)
        if not (found and found[-1].open):
            raise ValueError(f"{name} must follow a torch.nn.Linear, got {module} elsewhere")
        found[-1].activation, found[-1].open = activation, False
    elif not (kind in (nn.Dropout, nn.Identity) or (kind is nn.Flatten and _is_plain(module))):
        raise ValueError(
            f"{name} must be a torch.nn.Linear, an activation that deltaloop has, or a Sequential "
            f"of them, got {_shown(module)}{_hint(module)}"
        )
    _check_plain(module, name)


def _walk_parts(module: nn.Module, name: str, found: _Found) -> None:
    for key, part in module._modules.items():
        if part is None:
            raise TypeError(f"{name}.{key} must be a torch.nn.Module, got None")
        _walk(part, f"{name}.{key}", found)


def _check_plain(module: nn.Module, name: str) -> None:
    """Refuse what makes a module return something else than others of its class do."""
    for method in _RUN:
        if method in vars(module):
            raise ValueError(
                f"{name}.{method} must be that of {_shown_type(module)}, got another one, set on "
                f"the module itself"
            )
    hooks = {"forward pre-hooks": module._forward_pre_hooks, "forward hooks": module._forward_hooks}
    for what, found in hooks.items():
        if found:
            names = (getattr(hook, "__name__", _shown_type(hook)) for hook in found.values())
            raise ValueError(
                f"{name} must have no {what}, which may change what it returns, got "
                f"{', '.join(names)}; remove them first"
            )


def _activation(module: nn.Module, name: str) -> str:
    """Return the name of an activation whose settings are those that it stands for."""
    activation = _ACTIVATIONS[type(module)]
    row = _MODULES[activation]
    for key, allowed in row.settings.items():
        value = getattr(module, key)
        if value not in allowed:
            raise ValueError(f"{name}.{key} must be {allowed[0]!r}, got {value!r}")
    for key, least in row.least.items():
        value = getattr(module, key)
        if value < least:
            raise ValueError(f"{name}.{key} must be at least {least}, got {value!r}")
    return activation


def _is_plain(flatten: nn.Flatten) -> bool:
    """Whether it makes a row of each instance."""
    return (flatten.start_dim, flatten.end_dim) == (1, -1)


def _shown(module: nn.Module) -> str:
    text, kind = repr(module).replace("\n", " ")[:80], _shown_type(module)
    return text if text.startswith(kind) else f"{kind}: {text}"


def _hint(module: nn.Module) -> str:
    """Say why this module is refused, where that can be taken for a mistake."""
    if type(module) is nn.LogSoftmax:
        return "; leave out LogSoftmax and give loss='cross_entropy'"
    if isinstance(module, nn.Sequential) and not isinstance(module, Residual):
        return ", a subclass of Sequential with a forward pass of its own"
    for kind in (nn.Linear, Residual, *_ACTIVATIONS):
        if isinstance(module, kind):
            return f", a subclass of {kind.__name__}, which may compute something else"
    return ""


def _shown_type(value: object) -> str:
    return type(value).__name__
