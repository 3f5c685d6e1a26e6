"""The fuzz targets of the Python layer: each takes any bytes, and checks what is promised of them.

A file from anywhere is read, or refused by a ValueError that begins with the file's name and is one
short line. What was read is written, read and written again with the same bytes. Anything else is a
finding: other exceptions, warnings, crashes, seconds of work, memory out of proportion.
"""

from __future__ import annotations

import atexit
import csv
import io
import os
import resource
import shutil
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import deltaloop as dl
from deltaloop._files import state as _state
from deltaloop._onnx import read as _onnx_read
from deltaloop.cli import _csv, _npz, _table_files
from deltaloop.tabular import TabularModel, _applied, _description, _frames, _reading
from deltaloop.tabular._options import Options
from tests.helpers.files import parts, saved_state

# Of one input; those of the seeds take some milliseconds and 10 MB at most.
MAX_SECONDS = 2.0
MAX_GROWTH = 256 << 20

_folder: list[str] = []


class Finding(Exception):
    """What is promised does not hold."""


def path_of(name: str) -> str:
    """The path of a file of this process alone."""
    if not _folder:
        _folder.append(tempfile.mkdtemp(prefix="deltaloop-fuzz-"))
        atexit.register(shutil.rmtree, _folder[0], ignore_errors=True)
    return os.path.join(_folder[0], name)


def written(name: str, content: bytes) -> str:
    path = path_of(name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def content_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def holds(condition: object, what: str) -> None:
    if not condition:
        raise Finding(what)


def refused(error: Exception, path: str) -> None:
    """Look at the message of a file that was refused."""
    message = str(error)
    holds(message.startswith(f"{path}: "), f"the message does not name the file: {message[:300]!r}")
    holds("\n" not in message, f"the message has several lines: {message[:300]!r}")
    holds(len(message) < len(path) + 600, f"a message of {len(message)} characters")
    message.encode()  # it can be printed


# ---- model files ----


def network_file(content: bytes) -> None:
    path = written("net.safetensors", content)
    try:
        net = dl.load(path)
    except ValueError as error:
        refused(error, path)
        return
    first, second = path_of("first.safetensors"), path_of("second.safetensors")
    net.save(first, metadata=_user(content))
    again = dl.load(first)
    again.save(second, metadata=_user(content_of(first)))
    holds(saved_state(again) == saved_state(net), "what was loaded is saved as something else")
    holds(content_of(first) == content_of(second), "saved twice, with different bytes")
    with np.errstate(all="ignore"):
        net.predict(np.zeros((2, net.layers[0])))


# ---- checkpoints ----


def checkpoint_fit(path: str, **options: Any) -> dl.FitResult:
    """Train a small network, with a file to read or to write."""
    net = dl.Network([2, 3, 1], activation="tanh", output="identity", seed=1)
    X = np.linspace(-1.0, 1.0, 20).reshape(10, 2)
    solver = dl.Adam(batch_size=3)
    return net.fit(X, X[:, 0] ** 2, solver=solver, max_epochs=4, tol=0.0, **options)


def with_checksum(content: bytes) -> bytes:
    """What would be refused for its checksum alone, with the right one."""
    end = 8 + int.from_bytes(content[:8], "little")
    where = content.find(b'"crc32":"', 0, end) + 9
    if where < 9 or end > len(content):
        return content
    blank = content[:where] + b"00000000" + content[where + 8 :]
    return blank[:where] + b"%08x" % zlib.crc32(blank) + blank[where + 8 :]


def checkpoint_file(content: bytes) -> None:
    path = written("run.safetensors", with_checksum(content))
    try:
        run = _state.read(path)
    except ValueError as error:
        refused(error, path)
        return
    first, second = path_of("first.safetensors"), path_of("second.safetensors")
    _state.write(first, run)
    _state.write(second, _state.read(first))
    holds(content_of(first) == content_of(second), "written twice, with different bytes")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            checkpoint_fit(path, resume=path)
        except (TypeError, ValueError) as error:
            holds(len(str(error)) < 1000, f"a message of {len(str(error))} characters")


def _user(content: bytes) -> dict[str, str]:
    """What a file that was loaded holds of its user's metadata."""
    entries = parts(content)[0]["__metadata__"].items()
    return {key[5:]: text for key, text in entries if key.startswith("user.")}


def table_file(content: bytes) -> None:
    path = written("table.safetensors", content)
    try:
        model = TabularModel.load(path)
    except ValueError as error:
        refused(error, path)
        return
    first, second = path_of("first.safetensors"), path_of("second.safetensors")
    model.save(first)
    again = TabularModel.load(first)
    again.save(second)
    holds(content_of(first) == content_of(second), "saved twice, with different bytes")
    repr(model)


def table_description(content: bytes) -> None:
    text = content.decode(errors="replace")
    try:
        table, target = _description.of_text(text)
    except ValueError as error:
        holds(len(str(error)) < 600, f"a message of {len(str(error))} characters")
        return
    first = _description.to_text(table, target)
    first.encode()  # it can be in a file
    again = _description.of_text(first)
    holds(_description.to_text(*again) == first, "described twice, in different words")
    holds(table.n_inputs > 0 and target.n_outputs > 0, "a table without inputs or outputs")


# ---- ONNX ----


def onnx_file(content: bytes) -> None:
    path = written("net.onnx", content)
    try:
        net = dl.from_onnx(path)
    except ValueError as error:
        refused(error, path)
        return
    holds(np.isfinite(net.parameters).all(), "parameters that are not finite")
    other = path_of("again.onnx")
    X = np.linspace(-1.0, 1.0, 2 * net.layers[0]).reshape(2, -1)
    net.to_onnx(other)
    again = dl.from_onnx(other)
    holds(saved_state(again) == saved_state(net), "what was read is written as something else")
    holds(
        net.predict(X).tobytes() == again.predict(X).tobytes(), "read again, with other predictions"
    )


def onnx_runtime(content: bytes) -> None:
    """What is read predicts what ONNX Runtime computes of the same file."""
    import onnxruntime

    path = written("net.onnx", content)
    try:
        net = dl.from_onnx(path)
    except ValueError:
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        given = session.get_inputs()[0]
        dtype = {"tensor(double)": np.float64, "tensor(float)": np.float32}[given.type]
        X = np.linspace(-1.0, 1.0, 2 * net.layers[0], dtype=dtype).reshape(2, -1)
        names = [info.name for info in session.get_outputs()]
        known = [name for name in names if name in ("probabilities", "output_probability")]
        found = session.run((known or names)[:1], {given.name: X})[0]
    except Exception:  # it refuses more than deltaloop does: other types, other versions
        return
    if not isinstance(found, np.ndarray):
        return
    expected = net.predict(X.astype(np.float64))
    if found.shape == (2, 2) and expected.shape == (2, 1):
        found = found[:, 1:]
    exact = found.dtype == np.float64
    scale = 1.0 + np.abs(expected).max()
    if not np.isfinite(found).all() or scale > 1e6:
        return
    holds(found.size == expected.size, f"{expected.shape} predicted, {found.shape} by ONNX Runtime")
    difference = np.abs(found.reshape(expected.shape) - expected).max()
    holds(difference <= (1e-9 if exact else 1e-2) * scale, f"{difference} from ONNX Runtime's")


# ---- files of data ----


def csv_file(content: bytes) -> None:
    path = written("data.csv", content)
    try:
        frame = _table_files.read(path)
    except ValueError as error:
        refused(error, path)
        return
    holds(frame.height > 0 and frame.width > 0, "a table without rows or columns")
    holds(len(set(frame.columns)) == frame.width, "two columns of one name")
    _same_entries(content, _csv.read(content, None))
    _read_again(frame)


def _read_again(frame: Any) -> None:
    """What a table's text is read as is finite, and each row says the same by itself."""
    try:
        columns = {name: _frames.column(_frames.frame(frame)[name]) for name in frame.columns}
        found = _reading.of_table(columns, [], Options(untyped=frozenset(columns))).columns
    except (TypeError, ValueError):
        return
    for name, values in found.items():
        if values.text is not None or columns[name].text is None or not values.notation:
            continue
        assert values.numbers is not None
        holds(not np.isinf(values.numbers).any(), "a number that is not finite")
        kind = "date" if values.form == "date" else "number"
        known = columns[name].take(np.flatnonzero(~values.missing))
        again = _applied.apply(known, kind, values.notation).numbers
        holds(np.array_equal(again, values.numbers[~values.missing]), f"{name!r} read otherwise")


def _same_entries(content: bytes, frame: object) -> None:
    """The rows are those that the csv module of Python reads, where no blank line is in doubt."""
    text = _csv._utf8(content, None).decode()
    if "\r" in text or len(frame.columns) == 1:
        return
    start = text.lstrip("\n").partition("\n")[0]
    opening = [i for i, mark in enumerate(start) if mark == '"'][::2]
    if any(i > 0 and start[i - 1] not in ",;\t|" for i in opening):
        return  # a quotation mark within an entry: it quotes nothing
    separator = _csv._separator(text.encode())
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        rows = [row for row in lines if row]
    except csv.Error:  # such as text behind a closed quotation mark: readers differ
        return
    if len(rows[0]) != len(frame.columns):
        return  # a column without a name and entries is left out
    blank = [len(row) == 1 and row[0] != "" and not row[0].strip(" ") for row in rows]
    if any(blank) and '" ' in text:
        return  # spaces in quotation marks are an entry; the csv module hides which spaces were
    rows = [row for row, left_out in list(zip(rows, blank, strict=True))[1:] if not left_out]
    holds(frame.height == len(rows), f"{frame.height} rows, {len(rows)} by Python's csv module")
    for found, expected in zip(frame.rows(), rows, strict=True):
        padded = expected + [""] * (len(found) - len(expected))
        entries = ["" if entry is None else entry for entry in found]
        holds(entries == padded, f"{entries!r}, by Python's csv module {padded!r}")


def numpy_file(content: bytes) -> None:
    path = written("data.npz", content)
    try:
        data = _npz.training(path)
    except (ValueError, MemoryError) as error:
        refused(error, path)
        return
    holds(np.isfinite(data.X).all() and len(data.X) == len(data.y), "other data than promised")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "network_file": network_file,
    "checkpoint_file": checkpoint_file,
    "table_file": table_file,
    "onnx_file": onnx_file,
    "table_description": table_description,
    "csv_file": csv_file,
    "numpy_file": numpy_file,
}
# Where the other library is installed, and for long runs: 10 ms an input.
SLOW_TARGETS: dict[str, Callable[[bytes], None]] = {"onnx_runtime": onnx_runtime}


def prepare() -> None:
    """Before the first input: warnings are findings, and Python's limits those of a new process."""
    warnings.simplefilter("error")
    assert _onnx_read is not None


def problem(target: Callable[[bytes], None], content: bytes) -> str | None:
    """Run a target; None, or what was found: the exception, and where it came from."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.thread_time()
    try:
        target(content)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of polars is no Exception
        return "".join(traceback.format_exception(error))
    seconds = time.thread_time() - start
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
    if seconds > MAX_SECONDS:
        return f"Finding: {seconds:.1f} s of one processor for {len(content)} bytes"
    if growth > MAX_GROWTH:
        return f"Finding: {growth >> 20} MB of memory for {len(content)} bytes"
    return None
