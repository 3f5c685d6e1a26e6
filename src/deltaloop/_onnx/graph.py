"""The graph of an ONNX file, understood value by value: the layers of a chain.

Each value of a graph is the inputs, a constant, the sum z of a layer, or an expression of values.
Where a node takes a sum, every form of every activation is composed of it (see _onnx_activations),
and the value of each is known as those units: a node that makes the same expression makes the same
value. So the writer's compositions are known by the code that writes them. Numbers that are added
to columns, or multiply them, are kept beside what they change: see `values`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np

from deltaloop._files.paths import short
from deltaloop._onnx.activations import FLOAT32, FLOAT64, FORMS, Form, Single
from deltaloop._onnx.operators import PLAIN, attributes, name_of, named
from deltaloop._onnx.protobuf import BFLOAT16, FLOAT16, array
from deltaloop._onnx.values import Constant, Floats, Sum, Units, Value, listed

# With MatMul and Add, of 2,000 layers; more are the work of seconds.
MAX_SUMS = 4_000
# Numbers that a small file may become, however often it uses each of its own: 8 MB.
SPARE = 1 << 20

_Forms = tuple[tuple[str, Form], ...]
_ALL = [(name, form) for name, forms in FORMS.items() for form in forms if name != "identity"]
_SINGLE: _Forms = tuple(pair for pair in _ALL if isinstance(pair[1], Single))
_COMPOSED: _Forms = tuple(pair for pair in _ALL if not isinstance(pair[1], Single))
_OPERATORS = {form.op for _, form in _SINGLE if isinstance(form, Single)}
_COMMUTATIVE = ("Add", "Mul", "Max", "Min")
_PROBABILITIES = ("probabilities", "output_probability")
_FLOATS = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16)


class Graph:
    """The values of a graph, by their names; and the builder that forms are run with."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self.onnx, self.graph = onnx, graph
        self.values: dict[str, Value] = {}
        self.makers: dict[str, Any] = {}  # the node of each output
        self.expressions: dict[Hashable, Value] = {}
        self.scalars: dict[float, Value] = {}
        self.n_sums = 0
        self.n_given = self.n_kept = 0  # numbers in the file, and in the rows made of them
        self.named: dict[Value, Units] = {}  # the expressions that are units
        # Those of a number and a sum or units: parts of activations, or a step between two layers.
        self.affine: dict[Value, Sum | Units] = {}
        self.learned: dict[Value, _Forms] = {}
        self.squeezed = False  # the one column that there is has become a row of numbers

    def result(self) -> Units:
        """Return the units that the graph computes."""
        for tensor in self.graph.initializer:
            self._define(tensor.name, self._tensor(tensor))
        given = [info for info in self.graph.input if info.name not in self.values]
        if len(given) != 1:
            raise ValueError(f"expected a graph of one input, found {len(given)}")
        rank, size = _shape(given[0])
        self._define(given[0].name, Units(None, "identity", rank=rank, size=size))
        for node in self.graph.node:
            self._run(node)
        name = self._output()
        units = self._units(self._known(name))
        if units is None or units.sum is None:
            raise ValueError(self._blame(name))
        n, one = 0, units
        while one.sum is not None:
            n, one = n + one.sum.weights.size, one.sum.below
        if n > self.most():
            raise ValueError(f"expected at most {self.most()} weights in this file, found {n}")
        return units

    def _units(self, value: Value) -> Units | None:
        """Return the units that a value is, None if it is something else."""
        value = self._firm(value)
        if isinstance(value, Sum):
            return value.units
        if isinstance(value, Units):
            return value if value.rank in (None, 2) else None
        return self.named.get(value)

    def _firm(self, value: Value) -> Value:
        """Return the sum or the units that an expression of one of them and a number is."""
        return self.affine.get(value, value)

    def _define(self, name: str, value: Value) -> None:
        if name in self.values:
            raise ValueError(f"expected each value once, found {short(name)} twice")
        self.values[name] = value

    def _known(self, name: str) -> Value:
        if name not in self.values:
            raise ValueError(
                f"expected a graph in order, found {short(name)} used, which is neither "
                "an input nor an initializer nor the output of a node before"
            )
        return self.values[name]

    def _tensor(self, tensor: Any) -> Value:
        values = array(tensor)
        self.n_given += 0 if values is None else values.size
        return Value() if values is None else Constant(values)

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
        inputs = [self._known(name) if name else Value() for name in names]
        try:
            found = {name: self._attribute(entry) for name, entry in attributes(node).items()}
            value = self._apply(name_of(node), found, inputs)
        except ValueError as error:
            raise ValueError(f"{named(node)}: {error}") from None
        for number, name in enumerate(node.output):
            if name:
                self._define(name, Value() if number else value)
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
        return Value()

    def _apply(self, op: str, attributes: dict[str, object], inputs: list[Value]) -> Value:
        made = (
            self._passed(op, attributes, inputs)
            or self._constant_of(op, attributes, inputs)
            or self._layer(op, attributes, inputs)
            or self._between(op, attributes, inputs)
        )
        if made is not None:
            return made
        if (
            op in _OPERATORS
        ):  # of a sum with numbers around it, not of the expression that it also is
            inputs = [self._firm(value) for value in inputs]
            if op == "Softmax" and self.squeezed:
                return Value()
        made = self._expression(op, attributes, inputs)
        self._note(op, inputs, made)
        return made

    def _passed(self, op: str, attributes: dict[str, object], inputs: list[Value]) -> Value | None:
        """Return the input where an operator passes it on, in another type, shape or name."""
        if not inputs:
            return None
        value = inputs[0]
        if op == "Identity" or (op == "Dropout" and len(inputs) < 3) or op == "ai.onnx.ml.ZipMap":
            return value
        if op == "Cast" and not isinstance(value, Constant):
            return value if attributes.get("to") in _FLOATS else None
        if op == "Flatten" and attributes.get("axis", 1) == 1:
            return self._flat(value, -1, None)
        if op == "Reshape" and len(inputs) == 2 and attributes.get("allowzero", 0) == 0:
            shape = listed(inputs[1])
            return None if shape is None else self._reshaped(value, shape)
        if op == "Squeeze":
            axes: object = attributes.get("axes", ())
            if len(inputs) == 2:
                axes = listed(inputs[1])
            units = self._units(value)
            if axes in ((), (1,), (-1,), [1], [-1]) and units and units.sum and units.width == 1:
                self.squeezed = True
                return value
        return None

    def _reshaped(self, value: Value, shape: list[object]) -> Value | None:
        """Return what has one row for each instance, as before; or one number, for width 1."""
        units = self._units(value)
        if units and units.sum and units.width == 1 and shape == [-1]:
            self.squeezed = True
            return value
        if len(shape) != 2 or shape[0] not in (-1, 0) or shape == [-1, -1]:
            return None
        rows, width = shape
        if units and units.sum:
            return value if width in (units.width, -1) else None
        return self._flat(value, rows, width)

    def _flat(self, value: Value, rows: object, width: object) -> Value | None:
        """Return the inputs with a row of all their numbers for each instance."""
        if not (isinstance(value, Units) and value.sum is None):
            return value if width is None else None
        known = width if isinstance(width, int) and width > 0 else None
        if known and value.size not in (None, known):
            raise ValueError(f"expected rows of all {value.size} numbers, found {known}")
        if known and value.width not in (None, known):
            raise ValueError(f"expected rows of all {value.width} numbers, found {known}")
        if value.rank in (None, 2):
            value.width = value.width or known
            return value
        columns = value.width or known
        return Units(None, "identity", width=columns, affine=value.affine, size=value.size)

    def _constant_of(
        self, op: str, attributes: dict[str, object], inputs: list[Value]
    ) -> Value | None:
        """Return what an operator makes of constants."""
        if op == "Constant":
            value = attributes.get("value", attributes.get("value_float"))
            if isinstance(value, float):
                return Constant(np.array(value))
            if "value_ints" in attributes:
                return Constant(np.array(attributes["value_ints"], dtype=np.int64))
            return value if isinstance(value, Constant) else None
        if not inputs or not isinstance(inputs[0], Constant):
            return None
        values = inputs[0].values
        if op == "Cast" and attributes.get("to") in (FLOAT32, FLOAT64):
            with np.errstate(over="ignore"):
                return Constant(values.astype("f4" if attributes["to"] == FLOAT32 else "f8"))
        if op == "Transpose" and values.ndim == 2 and attributes.get("perm", (1, 0)) == (1, 0):
            return Constant(values.T)
        return None

    def _layer(self, op: str, attributes: dict[str, Any], inputs: list[Value]) -> Value | None:
        """Return the sum of a layer, or the units of one that is skipped."""
        if op == "MatMul" and len(inputs) == 2 and isinstance(inputs[1], Constant):
            return self._sum(inputs[0], inputs[1].values, None)
        if op == "Gemm" and len(inputs) in (2, 3) and not attributes.get("transA", 0):
            w, c = inputs[1], inputs[2] if len(inputs) == 3 else None
            if isinstance(w, Constant) and (c is None or isinstance(c, Constant)):
                weights = w.values.T if attributes.get("transB", 0) else w.values
                alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
                return self._sum(inputs[0], weights, None if c is None else c.values, alpha, beta)
        if op == "Add" and len(inputs) == 2:
            for one, other in (inputs, inputs[::-1]):
                bare = isinstance(one, Sum) and one.biases is None and one.affine is None
                if bare and isinstance(other, Constant):
                    assert isinstance(one, Sum)
                    return self._sum(one.below, one.weights, other.values, one.alpha)
                units, skipped = self._units(one), self._units(other)
                if units and units.sum and units.sum.below is skipped and not units.residual:
                    if units.affine or (skipped.sum and skipped.affine) or self.squeezed:
                        return None
                    if units.width != skipped.width:
                        raise ValueError(
                            f"expected a skip connection between layers of one width, found "
                            f"{skipped.width} and {units.width} units"
                        )
                    return Units(units.sum, units.activation, True, units.width)
        return None

    def _sum(
        self,
        below: Value,
        weights: Floats,
        biases: Floats | None,
        alpha: float = 1.0,
        beta: float = 1.0,
    ) -> Value | None:
        if isinstance(below, Units) and below.rank not in (None, 2):
            raise ValueError(f"expected inputs of 2 dimensions, found {below.rank}")
        units = self._units(below)
        if units is None or (self.squeezed and units.sum is not None):
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
        self._count()
        return Sum(units, weights, biases, alpha, beta)

    def _count(self) -> None:
        self.n_sums += 1
        if self.n_sums > MAX_SUMS:
            raise ValueError(f"expected at most {MAX_SUMS} layers, found more")

    # ---- numbers around layers ----

    def _between(
        self, op: str, attributes: dict[str, Any], inputs: list[Value]
    ) -> Sum | Units | None:
        """Return a sum or units with rows of numbers added to them, or multiplied by them.

        One number alone may be a part of an activation: `_note` sees to those.
        """
        if op in ("Add", "Sub", "Mul", "Div") and len(inputs) == 2:
            value, given = self._with_row(op, inputs)
            alone = given is not None and given.size == 1 and not _are_inputs(value)
            if value is None or given is None or alone:
                return None
            return self._then(value, [(op, given)], False)
        if not inputs:
            return None
        known = self.named.get(inputs[0], self._firm(inputs[0]))
        if not isinstance(known, Sum | Units):
            return None
        if op == "BatchNormalization" and len(inputs) == 5:
            scale, shift, mean, variance = (self._row(part) for part in inputs[1:])
            if (
                attributes.get("training_mode", 0)
                or scale is None
                or shift is None
                or mean is None
                or variance is None
            ):
                return None
            spread = variance.astype(np.float64) + attributes.get(
                "epsilon", float(np.float32(1e-5))
            )
            if not (spread > 0).all():
                raise ValueError("expected variances above 0")
            steps = [("Sub", mean), ("Div", np.sqrt(spread)), ("Mul", scale), ("Add", shift)]
            return self._then(known, steps, True)
        if op == "ai.onnx.ml.Scaler" and len(inputs) == 1:
            rows = [np.array(attributes.get(name, ()), np.float32) for name in ("offset", "scale")]
            if not all(row.size for row in rows):
                raise ValueError("expected offset and scale, found one of them or none")
            return self._then(known, [("Sub", rows[0]), ("Mul", rows[1])], False)
        return None

    def _with_row(self, op: str, inputs: list[Value]) -> tuple[Sum | Units | None, Floats | None]:
        """Return what an operator changes, and the numbers that it does it with."""
        orders = (inputs, inputs[::-1]) if op in _COMMUTATIVE else (inputs,)
        for one, other in orders:
            row = self._row(other)
            value = self.named.get(one, self._firm(one))
            if row is not None and isinstance(value, Sum | Units):
                return value, row
        return None, None

    def _row(self, value: Value) -> Floats | None:
        """Return the numbers of a constant that is one of them or a row."""
        if not isinstance(value, Constant) or value.values.dtype.kind != "f":
            return None
        values = value.values
        if values.ndim > 2 or values.size == 0 or (values.ndim == 2 and values.shape[0] != 1):
            return None
        return values.reshape(-1)

    def _then(
        self, value: Sum | Units, steps: list[tuple[str, Floats]], folds: bool
    ) -> Sum | Units | None:
        """Return a value after steps; None where rows are not as long as there are columns."""
        result = value
        for op, given in steps:
            units = value.units if isinstance(value, Sum) else value
            if given.size > 1:
                if units.rank not in (None, 2) or self.squeezed:
                    return None
                units.width = units.width or given.size
            if given.size not in (1, units.width):
                return None
            result = result.then(op, given, folds)
        self.n_kept += 0 if result.affine is None else result.affine.size
        if self.n_kept > self.most():
            raise ValueError(f"expected rows of at most {self.most()} numbers, found more")
        return result

    def most(self) -> int:
        """Return how many numbers may be made of those in the file."""
        return SPARE + 4 * self.n_given

    def _note(self, op: str, inputs: list[Value], made: Value) -> None:
        """Note that an expression is also a sum or units with one number added or multiplied."""
        if op not in ("Add", "Sub", "Mul", "Div") or len(inputs) != 2:
            return
        if made in self.affine or made in self.named:
            return
        value, given = self._with_row(op, inputs)
        if value is not None and given is not None:
            found = self._then(value, [(op, given)], False)
            if found is not None:
                self.affine[made] = found

    # ---- expressions ----

    def node(self, op: str, *inputs: Value, **attributes: Any) -> Value:
        """Make a value, as a form does."""
        return inputs[0] if op == "Cast" else self._expression(op, attributes, list(inputs))

    def constant(self, number: float) -> Value:
        """Return the value of a scalar, as a form does."""
        return self.scalars.setdefault(number, Constant(np.array(number)))

    def _expression(self, op: str, attributes: dict[str, object], inputs: list[Value]) -> Value:
        """Return the value of an operator, the same one for the same operator of the same."""
        for value in inputs:
            self._learn(value, op)
        standard = PLAIN.get(op, {})
        other = {k: v for k, v in attributes.items() if v not in standard.get(k, ())}
        keys: list[Hashable] = [_key(value) for value in inputs]
        if op in _COMMUTATIVE:
            keys.sort(key=hash)
        key = (op, tuple(sorted(other.items(), key=lambda item: item[0])), *keys)
        try:
            return self.expressions.setdefault(key, Value())
        except TypeError:  # an attribute without a hash
            return Value()

    def _learn(self, value: Value, op: str) -> None:
        """Name the expressions that are activations of a sum, and [1 - p, p] of sigmoid units p.

        Those of several operators are composed only where one takes the sum that is none alone.
        """
        if isinstance(value, Sum):
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
            if units and units.activation == "sigmoid":
                rest = self.node("Sub", self.constant(1.0), value)
                self.named[self.node("Concat", rest, value, axis=1)] = units

    def _compose(self, value: Sum, forms: _Forms) -> None:
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
            if isinstance(value, Constant | Units) or self._units(value):
                continue
            if name in self.makers:
                unclear.add(id(self.makers[name]))
                stack += self.makers[name].input
        for node in self.graph.node:
            if id(node) in unclear:
                return (
                    f"{named(node)} cannot be taken: expected a chain of Gemm or MatMul and Add, "
                    "and activations that deltaloop has"
                )
        return "expected a chain of layers, found none"


def _key(value: Value) -> Hashable:
    """Scalars are the same where they are equal, whatever they are called."""
    if isinstance(value, Constant) and value.values.size == 1 and value.values.dtype.kind == "f":
        return float(value.values.ravel()[0])
    return value


def _are_inputs(value: Value | None) -> bool:
    return isinstance(value, Units) and value.sum is None


def _shape(info: Any) -> tuple[int | None, int | None]:
    """Return how many dimensions an input has, and numbers for each instance, where it says so."""
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None, None
    sizes = [dim.dim_value for dim in tensor.shape.dim[1:]]
    known = sizes and all(size > 0 for size in sizes)
    return len(tensor.shape.dim), math.prod(sizes) if known else None
