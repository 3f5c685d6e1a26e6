"""The graph of an ONNX file, understood value by value: the layers of a chain.

Each value of a graph is the inputs, a constant, the sum z of a layer, or an expression of values.
Where a node takes a sum, every form of every activation is composed of it (see _onnx_activations),
and the value of each is known as those units: a node that makes the same expression makes the same
value. So the writer's compositions are known by the code that writes them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deltaloop._files.paths import short
from deltaloop._onnx.activations import FLOAT32, FLOAT64, FORMS, Form, Single
from deltaloop._onnx.protobuf import array

Floats = NDArray[Any]

# With MatMul and Add, of 2,000 layers; more are the work of seconds.
MAX_SUMS = 4_000

_Forms = tuple[tuple[str, Form], ...]
_ALL = [(name, form) for name, forms in FORMS.items() for form in forms if name != "identity"]
_SINGLE: _Forms = tuple(pair for pair in _ALL if isinstance(pair[1], Single))
_COMPOSED: _Forms = tuple(pair for pair in _ALL if not isinstance(pair[1], Single))
_OPERATORS = {form.op for _, form in _SINGLE if isinstance(form, Single)}
# Attributes that change nothing, the values that they may have.
_DEFAULTS: dict[str, dict[str, tuple[object, ...]]] = {
    form.op: {key: (value,) for key, value in form.attributes.items()}
    for _, form in _SINGLE
    if isinstance(form, Single)
}
_DEFAULTS |= {"Softmax": {"axis": (-1, 1)}, "Concat": {"axis": (1, -1)}}
_COMMUTATIVE = ("Add", "Mul", "Max", "Min")
_PROBABILITIES = ("probabilities", "output_probability")


@dataclass(eq=False)
class _Value:
    """An expression, of which more may be known; or something that is not looked into."""


@dataclass(eq=False)
class _Inputs(_Value):
    """What the graph is given, of so many dimensions if it says so."""

    rank: int | None


@dataclass(eq=False)
class _Constant(_Value):
    values: Floats


@dataclass(eq=False)
class Units(_Value):
    """Activations: of the inputs where there is no sum."""

    sum: _Sum | None
    activation: str
    residual: bool = False
    width: int | None = None


@dataclass(eq=False)
class _Sum(_Value):
    """z = a w + b."""

    below: Units
    weights: Floats
    biases: Floats | None
    units: Units = field(init=False)  # those of the identity

    def __post_init__(self) -> None:
        self.units = Units(self, "identity", width=self.weights.shape[1])


class Graph:
    """The values of a graph, by their names; and the builder that forms are run with."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.values: dict[str, _Value] = {}
        self.makers: dict[str, Any] = {}  # the node of each output
        self.expressions: dict[Hashable, _Value] = {}
        self.scalars: dict[float, _Value] = {}
        self.n_sums = 0
        self.named: dict[_Value, Units] = {}  # the expressions that are units
        self.learned: dict[_Value, _Forms] = {}
        self.inputs = Units(None, "identity")

    def result(self) -> Units:
        """Return the units that the graph computes."""
        for tensor in self.graph.initializer:
            self._define(tensor.name, self._tensor(tensor))
        given = [info for info in self.graph.input if info.name not in self.values]
        if len(given) != 1:
            raise ValueError(f"expected a graph of one input, found {len(given)}")
        self._define(given[0].name, _Inputs(_rank(given[0])))
        for node in self.graph.node:
            self._run(node)
        name = self._output()
        units = self._units(self._known(name))
        if units is None or units.sum is None:
            raise ValueError(self._blame(name))
        return units

    def _units(self, value: _Value) -> Units | None:
        """Return the units that a value is, None if it is something else."""
        if isinstance(value, _Inputs):
            return self.inputs if value.rank in (None, 2) else None
        if isinstance(value, _Sum):
            return value.units
        return value if isinstance(value, Units) else self.named.get(value)

    def _define(self, name: str, value: _Value) -> None:
        if name in self.values:
            raise ValueError(f"expected each value once, found {short(name)} twice")
        self.values[name] = value

    def _known(self, name: str) -> _Value:
        if name not in self.values:
            raise ValueError(
                f"expected a graph in order, found {short(name)} used, which is neither "
                "an input nor an initializer nor the output of a node before"
            )
        return self.values[name]

    def _tensor(self, tensor: Any) -> _Value:
        values = array(tensor)
        return _Value() if values is None else _Constant(values)

    def _output(self) -> str:
        """Return the name of the output to take: the only one, or the probabilities."""
        names: list[str] = [info.name for info in self.graph.output]
        if len(names) > 1:
            names = [name for name in names if name in _PROBABILITIES]
        if len(names) != 1:
            raise ValueError(
                "expected a graph of one output, or one of its outputs named "
                f"{' or '.join(_PROBABILITIES)}, found {len(self.graph.output)} outputs"
            )
        return names[0]

    # ---- nodes ----

    def _run(self, node: Any) -> None:
        names = list(node.input)
        while names and not names[-1]:
            names.pop()
        inputs = [self._known(name) if name else _Value() for name in names]
        attributes = {entry.name: self._attribute(entry) for entry in node.attribute}
        domain = "" if node.domain == "ai.onnx" else node.domain
        op = f"{domain}.{node.op_type}" if domain else node.op_type
        try:
            value = self._apply(op, attributes, inputs)
        except ValueError as error:
            raise ValueError(f"{_named(node)}: {error}") from None
        for number, name in enumerate(node.output):
            if name:
                self._define(name, _Value() if number else value)
                self.makers[name] = node

    def _attribute(self, entry: Any) -> object:
        kinds = self.onnx.AttributeProto
        if entry.type == kinds.TENSOR:
            return self._tensor(entry.t)
        if entry.type in (kinds.FLOAT, kinds.INT, kinds.STRING):
            value = self.onnx.helper.get_attribute_value(entry)
            return value.decode(errors="replace") if isinstance(value, bytes) else value
        if entry.type in (kinds.FLOATS, kinds.INTS):
            return tuple(entry.floats or entry.ints)
        return _Value()

    def _apply(self, op: str, attributes: dict[str, object], inputs: list[_Value]) -> _Value:
        made = (
            self._passed(op, attributes, inputs)
            or self._constant_of(op, attributes, inputs)
            or self._layer(op, attributes, inputs)
        )
        return made or self._expression(op, attributes, inputs)

    def _passed(
        self, op: str, attributes: dict[str, object], inputs: list[_Value]
    ) -> _Value | None:
        """Return the input where an operator passes it on, in another type, shape or name."""
        if not inputs:
            return None
        value = inputs[0]
        if op == "Identity" or (op == "Dropout" and len(inputs) < 3) or op == "ai.onnx.ml.ZipMap":
            return value
        if op == "Cast" and not isinstance(value, _Constant):
            return value if attributes.get("to") in (FLOAT32, FLOAT64) else None
        if op == "Flatten" and attributes.get("axis", 1) == 1:
            return self.inputs if isinstance(value, _Inputs) else value
        if op == "Reshape" and len(inputs) == 2 and isinstance(inputs[1], _Constant):
            units, shape = self._units(value), inputs[1].values.tolist()
            return value if units and shape in ([-1, units.width], [0, units.width]) else None
        return None

    def _constant_of(
        self, op: str, attributes: dict[str, object], inputs: list[_Value]
    ) -> _Value | None:
        """Return what an operator makes of constants."""
        if op == "Constant":
            value = attributes.get("value", attributes.get("value_float"))
            if isinstance(value, float):
                return _Constant(np.array(value))
            return value if isinstance(value, _Constant) else None
        if not inputs or not isinstance(inputs[0], _Constant):
            return None
        values = inputs[0].values
        if op == "Cast" and attributes.get("to") in (FLOAT32, FLOAT64):
            with np.errstate(over="ignore"):
                return _Constant(values.astype("f4" if attributes["to"] == FLOAT32 else "f8"))
        if op == "Transpose" and values.ndim == 2 and attributes.get("perm", (1, 0)) == (1, 0):
            return _Constant(values.T)
        return None

    def _layer(self, op: str, attributes: dict[str, object], inputs: list[_Value]) -> _Value | None:
        """Return the sum of a layer, or the units of one that is skipped."""
        if op == "MatMul" and len(inputs) == 2 and isinstance(inputs[1], _Constant):
            return self._sum(inputs[0], inputs[1].values, None)
        if op == "Gemm" and len(inputs) in (2, 3) and not attributes.get("transA", 0):
            w, c = inputs[1], inputs[2] if len(inputs) == 3 else None
            if isinstance(w, _Constant) and (c is None or isinstance(c, _Constant)):
                weights = w.values.T if attributes.get("transB", 0) else w.values
                weights = _scaled(weights, attributes.get("alpha", 1.0))
                biases = None if c is None else _scaled(c.values, attributes.get("beta", 1.0))
                return self._sum(inputs[0], weights, biases)
        if op == "Add" and len(inputs) == 2:
            for one, other in (inputs, inputs[::-1]):
                if isinstance(one, _Sum) and one.biases is None and isinstance(other, _Constant):
                    return self._sum(one.below, one.weights, other.values)
                units, skipped = self._units(one), self._units(other)
                if units and units.sum and units.sum.below is skipped and not units.residual:
                    if units.width != skipped.width:
                        raise ValueError(
                            f"expected a skip connection between layers of one width, found "
                            f"{skipped.width} and {units.width} units"
                        )
                    return Units(units.sum, units.activation, True, units.width)
        return None

    def _sum(self, below: _Value, weights: Floats, biases: Floats | None) -> _Value | None:
        if isinstance(below, _Inputs) and below.rank not in (None, 2):
            raise ValueError(f"expected inputs of 2 dimensions, found {below.rank}")
        units = self._units(below)
        if units is None:
            return None
        if weights.ndim != 2 or 0 in weights.shape or weights.dtype.kind != "f":
            raise ValueError(
                f"expected weights that are a matrix of floats, found shape {weights.shape}"
            )
        if units.width is None:
            units.width = weights.shape[0]
        if units.width != weights.shape[0]:
            raise ValueError(f"expected weights of {units.width} rows, found {weights.shape}")
        if biases is not None:
            shape = (1, weights.shape[1])
            if biases.dtype.kind != "f" or biases.ndim > 2 or biases.size not in (1, shape[1]):
                raise ValueError(f"expected {shape[1]} biases, found shape {biases.shape}")
            if biases.ndim == 2 and biases.shape[0] != 1:
                raise ValueError(f"expected biases of one row, found shape {biases.shape}")
            biases = np.broadcast_to(biases, shape)[0]
        self.n_sums += 1
        if self.n_sums > MAX_SUMS:
            raise ValueError(f"expected at most {MAX_SUMS} layers, found more")
        return _Sum(units, weights, biases)

    # ---- expressions ----

    def node(self, op: str, *inputs: _Value, **attributes: Any) -> _Value:
        """Make a value, as a form does."""
        return inputs[0] if op == "Cast" else self._expression(op, attributes, list(inputs))

    def constant(self, number: float) -> _Value:
        """Return the value of a scalar, as a form does."""
        return self.scalars.setdefault(number, _Constant(np.array(number)))

    def _expression(self, op: str, attributes: dict[str, object], inputs: list[_Value]) -> _Value:
        """Return the value of an operator, the same one for the same operator of the same."""
        for value in inputs:
            self._learn(value, op)
        standard = _DEFAULTS.get(op, {})
        other = {k: v for k, v in attributes.items() if v not in standard.get(k, ())}
        keys: list[Hashable] = [_key(value) for value in inputs]
        if op in _COMMUTATIVE:
            keys.sort(key=hash)
        key = (op, tuple(sorted(other.items(), key=lambda item: item[0])), *keys)
        try:
            return self.expressions.setdefault(key, _Value())
        except TypeError:  # an attribute without a hash
            return _Value()

    def _learn(self, value: _Value, op: str) -> None:
        """Name the expressions that are activations of a sum, and [1 - p, p] of its units.

        Those of several operators are composed only where one takes the sum that is none alone.
        """
        if isinstance(value, _Sum):
            if value not in self.learned:
                # A chain: no node after this one takes an expression that was begun before.
                self.expressions.clear()
                self.learned[value] = _SINGLE
                self._compose(value, _SINGLE)
            if self.learned[value] is _SINGLE and op not in _OPERATORS:
                self.learned[value] = _COMPOSED
                self._compose(value, _COMPOSED)
        elif op == "Sub" and value not in self.learned:
            self.learned[value] = ()
            units = self._units(value)
            if units and units.width == 1 and units.activation == "sigmoid":
                rest = self.node("Sub", self.constant(1.0), value)
                self.named[self.node("Concat", rest, value, axis=1)] = units

    def _compose(self, value: _Sum, forms: _Forms) -> None:
        for name, form in forms:
            self.named[form(self, value)] = Units(value, name, width=value.units.width)

    def _blame(self, output: str) -> str:
        """Say which node is the first that is not understood."""
        seen: set[str] = set()
        unclear: set[int] = set()
        stack = [output]
        while stack:
            name = stack.pop()
            if not name or name in seen:
                continue
            seen.add(name)
            value = self.values[name]
            if isinstance(value, _Inputs | _Constant) or self._units(value):
                continue
            if name in self.makers:
                unclear.add(id(self.makers[name]))
                stack += self.makers[name].input
        for node in self.graph.node:
            if id(node) in unclear:
                return (
                    f"{_named(node)} cannot be taken: expected a chain of Gemm or MatMul and Add, "
                    "and activations that deltaloop has"
                )
        return "expected a chain of layers, found none"


def _key(value: _Value) -> Hashable:
    """Scalars are the same where they are equal, whatever they are called."""
    if isinstance(value, _Constant) and value.values.size == 1 and value.values.dtype.kind == "f":
        return float(value.values.ravel()[0])
    return value


def _scaled(values: Floats, factor: Any) -> Floats:
    return values if factor == 1.0 else values.astype(np.float64) * factor


def _rank(info: Any) -> int | None:
    tensor = info.type.tensor_type
    return len(tensor.shape.dim) if tensor.HasField("shape") else None


def _named(node: Any) -> str:
    """Name a node and its operator."""
    name = f" {short(node.name)}" if node.name else ""
    op = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"node{name} ({short(op)[1:-1]}{''.join(_attributes(node))})"


def _attributes(node: Any) -> Iterator[str]:
    for entry in list(node.attribute)[:3]:
        kind, name = entry.type, short(entry.name)[1:-1]
        if kind in (1, 2):  # AttributeProto.FLOAT, INT
            yield f", {name}={entry.f if kind == 1 else entry.i:g}"
        elif kind == 3:  # STRING
            yield f", {name}={short(entry.s.decode(errors='replace'))}"
