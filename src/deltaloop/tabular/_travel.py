"""How a table's model travels: as a state of plain values and arrays, and as an ONNX file."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from deltaloop._c import write as _c
from deltaloop.network import Network
from deltaloop.tabular import _c_file, _description, _graph, _html
from deltaloop.tabular._fingerprints import Fingerprints
from deltaloop.tabular._options import Options

if TYPE_CHECKING:
    from deltaloop.tabular._columns import Table
    from deltaloop.tabular._target import Target


class Travels:
    """What a model that has been fitted can be turned into."""

    network: Network | None
    _table: Table | None
    _target: Target | None
    _parameters: dict[str, Any]

    def _fitted(self) -> tuple[Network, Table, Target]:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        """Return all of it, with the table as the text that files have."""
        state = self.__dict__.copy()  # all of one fit
        table, target = state.pop("_table"), state.pop("_target")
        text = None if table is None else _description.to_text(table, target)
        rows = state.pop("_fingerprints", None)
        known = None if rows is None else [rows.text(), rows.all, rows.usual]
        if isinstance(state.get("_reading"), Options):
            said = vars(state["_reading"])
            state["_reading"] = said | {"untyped": sorted(said["untyped"])}
        return state | {"table": text, "rows": known}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = {"_reading": {}} | state  # which version 0.1.0 had not
        if isinstance(state["_reading"], dict):
            said = state["_reading"]
            state["_reading"] = Options(**said | {"untyped": frozenset(said.get("untyped", ()))})
        if "_table" in state:  # a pickle of version 0.1.0, which holds the objects
            self.__dict__.update({"metadata": {}, "_fingerprints": None} | state)
            return
        state = {"metadata": {}} | state
        text, network = state.pop("table"), state["network"]
        known = state.pop("rows", None)
        rows = None if known is None else Fingerprints.of_text(*known)
        table = target = None
        if text is not None:
            if not isinstance(network, Network):
                raise ValueError(f"expected a Network, found {type(network).__name__}")
            table, target = _description.of_found(json.loads(text))
            _description.check_network(table, target, network)
        self.__dict__.update(state, _table=table, _target=target, _fingerprints=rows)

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the whole model as an ONNX file: encoding, network and classes, in float64.

        The graph has one input for each column, by its name, of shape (n, 1): float64 for numbers,
        booleans (0 and 1), dates and durations (in days), with NaN where a value is missing, and
        strings for categories, with the empty string where one is missing. Like `predict` it
        refuses a category that is new, or takes it for missing with
        ``new_categories="missing"``. Text that the model reads as numbers or dates is given as
        these. The outputs are ``label`` (n,) and ``probabilities`` (n, n_classes), or of values
        ``Y`` (n, k).

        Parameters
        ----------
        path : str or os.PathLike
            The file, by convention ``.onnx``; an existing one is replaced.

        Raises
        ------
        ImportError
            Without onnx: ``pip install 'deltaloop[onnx]'``.
        TypeError, ValueError, OSError
            As for `Network.to_onnx`; ValueError before a fit.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np, onnxruntime
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": [0.0, 1.0, 2.0, 3.0] * 9, "unit": ["m", "km"] * 18, "y": range(36)}
        >>> model = TabularModel().fit(frame, "y", l2=0.001)
        >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
        >>> model.to_onnx(path)
        >>> session = onnxruntime.InferenceSession(path)
        >>> (Y,) = session.run(["Y"], {"x": np.array([[2.5]]), "unit": np.array([["km"]])})
        >>> bool(abs(Y[:, 0] - model.predict({"x": [2.5], "unit": ["km"]})).max() < 1e-9)
        True
        """
        new_is_missing = self._parameters["new_categories"] == "missing"
        _graph.write(*self._fitted(), path, new_is_missing)

    def to_c(
        self,
        path: str | os.PathLike[str],
        *,
        name: str = "model",
        dtype: str = "float64",
        arithmetic: str | None = None,
        header: bool = False,
    ) -> None:
        """Write the whole model as one file of C: encoding, scaling and network.

        ``model_predict(x, y, workspace)`` takes a number for each column, whose places are the enum
        ``MODEL_COLUMN_...``: a number as it is, dates and durations in days, and a category by the
        enum of its values, ``MODEL_<column>_IS_<value>``. A number is missing as ``NAN``, a
        category as any number that its enum has not, a new one too; they count as in training. The
        outputs are values, or the probabilities of the classes, whose names stand at the top of
        the file. The rest is as in the files of ``Network.to_c``, the bytes too.

        Parameters
        ----------
        path : str or os.PathLike
            The file, by convention ``.c``; an existing one is replaced.
        name : str, default "model"
            What the functions' names begin with.
        dtype, arithmetic, header
            As for `Network.to_c`.

        Raises
        ------
        TypeError, ValueError, OSError
            As for `Network.to_c`; ValueError before a fit, and for a category of more than 1,000
            values.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from deltaloop.tabular import TabularModel
        >>> frame = {"x": [0.0, 1.0, 2.0, 3.0] * 9, "unit": ["m", "km"] * 18, "y": range(36)}
        >>> model = TabularModel().fit(frame, "y", l2=0.001)
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "model.c"
        >>> model.to_c(path)
        >>> "MODEL_UNIT_IS_KM = 0" in path.read_text()
        True
        """
        asked = _c.options(name=name, dtype=dtype, arithmetic=arithmetic, header=header)
        _c_file.write(*self._fitted(), path, asked)

    def _repr_html_(self) -> str:
        return _html.table(self)
