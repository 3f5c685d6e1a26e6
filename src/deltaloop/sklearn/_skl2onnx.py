"""The estimators in the graphs of skl2onnx, which converts pipelines of scikit-learn to ONNX.

A network is computed in float64, as in the files of ``to_onnx`` and by the same operators; inputs
of other types are cast, and outputs have the type that skl2onnx gives the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deltaloop._onnx import write as _onnx
from deltaloop._onnx.activations import FLOAT64
from deltaloop.sklearn._classifier import MLPClassifier
from deltaloop.sklearn._regressor import MLPRegressor

# The oldest opset in which the operators that are written mean what they mean in that of `_onnx`.
LEAST_OPSET = 13
# The options that skl2onnx has for classifiers.
OPTIONS = {
    "zipmap": [True, False, "columns"],
    "output_class_labels": [False, True],
    "nocl": [True, False],
}


def register_skl2onnx() -> None:
    """Teach skl2onnx to convert `MLPClassifier` and `MLPRegressor`, in pipelines too.

    One call in a process is enough; further ones change nothing. For an estimator alone
    ``to_onnx`` does without skl2onnx, in float64 throughout.

    Raises
    ------
    ImportError
        Without skl2onnx: ``pip install skl2onnx``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from deltaloop.sklearn import MLPClassifier, register_skl2onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), MLPClassifier(solver="lbfgs", random_state=0))
    >>> model = model.fit(X, y)
    >>> import skl2onnx  # doctest: +SKIP
    >>> register_skl2onnx()  # doctest: +SKIP
    >>> options = {"zipmap": False}  # maps hold float32 alone
    >>> onnx_model = skl2onnx.to_onnx(model, X[:1], options=options)  # doctest: +SKIP
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError:
        raise ImportError("register_skl2onnx needs skl2onnx: pip install skl2onnx") from None
    update_registered_converter(
        MLPClassifier,
        "DeltaloopMLPClassifier",
        _classifier_outputs,
        _convert_classifier,
        options=OPTIONS,
    )
    update_registered_converter(
        MLPRegressor, "DeltaloopMLPRegressor", _regressor_outputs, _convert_regressor
    )


class _Nodes:
    """Makes nodes in a container of skl2onnx, as `_onnx.Writer` does in a graph of its own."""

    def __init__(self, scope: Any, container: Any) -> None:
        if container.target_opset < LEAST_OPSET:
            raise ValueError(
                f"target_opset must be at least {LEAST_OPSET} for deltaloop's estimators, got "
                f"{container.target_opset}"
            )
        self.scope, self.container = scope, container
        self.place = ""

    def node(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or str(self.scope.get_unique_variable_name(op))
        unique = self.scope.get_unique_operator_name(op)
        self.container.add_node(op, list(inputs), [name], name=unique, **attributes)
        return name

    def constant(self, number: float) -> str:
        return self.array("constant", np.array(number))

    def array(self, name: str, values: Any) -> str:
        from onnx import helper

        unique = str(self.scope.get_unique_variable_name(name))
        text = values.dtype == object
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(object if text else values.dtype))
        content = [item.encode() for item in values] if text else values.ravel()
        self.container.add_initializer(unique, kind, list(values.shape), content)
        return unique


def _network(operator: Any, scope: Any, container: Any) -> tuple[_Nodes, str]:
    """Write the network of an estimator; the value of its outputs."""
    nodes = _Nodes(scope, container)
    (given,) = operator.inputs
    x = nodes.node("Cast", given.full_name, to=FLOAT64)
    return nodes, _onnx.layers_of(nodes, operator.raw_operator._ready()._frozen(), x)


def _typed(nodes: _Nodes, value: str, output: Any) -> None:
    """Make a value one of the step's outputs, of the type that it was declared with."""
    from skl2onnx.common.data_types import guess_proto_type

    nodes.node("Cast", value, output=output.full_name, to=guess_proto_type(output.type))


def _classes(operator: Any) -> Any:
    """Return the labels as an array of int64 or of objects, which ONNX has."""
    from skl2onnx.common.utils_classifier import get_label_classes

    model = operator.raw_operator
    classes = get_label_classes(operator.scope_inst, model)
    return _onnx.labels_of(np.asarray(classes).tolist(), max(2, model.n_outputs_))


def _several(model: Any) -> bool:
    return bool(model._label_binarizer.y_type_.startswith("multilabel"))


def _classifier_outputs(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType
    from skl2onnx.common.utils import check_input_and_output_numbers

    check_input_and_output_numbers(operator, input_count_range=1, output_count_range=2)
    n, model = operator.inputs[0].get_first_dimension(), operator.raw_operator
    label, probabilities = operator.outputs
    if _several(model):
        label.set_type(Int64TensorType([n, model.n_outputs_]))
        probabilities.type.shape = [n, model.n_outputs_]
        return
    classes = _classes(operator)
    kind = Int64TensorType if classes.dtype.kind == "i" else StringTensorType
    label.set_type(kind([n]))
    probabilities.type.shape = [n, len(classes)]


def _regressor_outputs(operator: Any) -> None:
    from skl2onnx.common.utils import check_input_and_output_numbers

    check_input_and_output_numbers(operator, input_count_range=1, output_count_range=1)
    n = operator.inputs[0].get_first_dimension()
    operator.outputs[0].type.shape = [n, operator.raw_operator.n_outputs_]


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    model = operator.raw_operator
    label, probabilities = operator.outputs
    nodes, a = _network(operator, scope, container)
    if _several(model):
        above = nodes.node("Greater", a, nodes.constant(0.5))
        _typed(nodes, above, label)
    else:
        if model.n_outputs_ == 1:
            rest = nodes.node("Sub", nodes.constant(1.0), a)
            a = nodes.node("Concat", rest, a, axis=1)
        best = nodes.node("ArgMax", a, axis=1, keepdims=0)
        classes = nodes.array("classes", _classes(operator))
        nodes.node("Gather", classes, best, output=label.full_name, axis=0)
    _typed(nodes, a, probabilities)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    nodes, a = _network(operator, scope, container)
    _typed(nodes, a, operator.outputs[0])
