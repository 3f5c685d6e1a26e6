"""Model files: a network as one safetensors file, written atomically and read strictly.

A file holds the float64 tensors `weights.1`, `biases.1`, ..., `weights.L`, `biases.L` and, as
metadata, everything else a network needs. Files may come from anywhere, so nothing in them is
believed: each length is checked before anything is allocated for it, the tensors must be
exactly those that the layers call for, and whatever is wrong ends in a ValueError that names
the file. Nothing in a file is ever executed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

if TYPE_CHECKING:
    from deltaloop.inits import Init
    from deltaloop.losses import Loss
    from deltaloop.network import Network

__all__ = ["load", "read_metadata", "save"]

T = TypeVar("T")

FORMAT = "deltaloop"
# Files of version 2 have one more entry, residual; all other networks are written as version 1.
VERSION = 2
USER_PREFIX = "user."

# What a file can make a reader allocate before it is known to be one of ours. safetensors (0.8.0)
# takes 100 MB of JSON; 1 MiB of it took up to 32 MB of memory: about 110 bytes for each value and
# bracket, 7 for each byte of a long string. With both limits a reader stays below 10 MB, which
# tests/files/test_memory.py measures. A layer takes 150 bytes, and 26 values and brackets: 1,500
# layers.
MAX_HEADER_BYTES = 1 << 19
MAX_HEADER_PARTS = 40_000

# The entries that are JSON themselves: "[{},{},..." takes 30 bytes of memory for each of its own.
MAX_JSON_CHARACTERS = 1 << 15

# sys.set_int_max_str_digits cannot go below 640: that many digits convert in any interpreter.
MAX_SEED_DIGITS = 640

# More units than fit a signed 64-bit size cannot be; smaller sums are left to the file's length.
MAX_UNITS = 2**63 - 1

# The position is a word counter of 64 bits.
MAX_POSITION = 2**64 - 1

_REQUIRED_KEYS = frozenset(
    ["format", "version", "layers", "activation", "output", "loss", "init", "seed", "position"]
)


@dataclass(frozen=True)
class _Description:
    """What a file's metadata says, checked."""

    layers: tuple[int, ...]
    activation: tuple[str, ...]
    output: str
    loss: Loss
    residual: bool
    init: Init | None
    seed: int
    position: int
    user: dict[str, str]

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of every tensor, in the order of the parameters."""
        for number, (m_in, m_out) in enumerate(pairwise(self.layers), start=1):
            yield f"weights.{number}", (m_in, m_out)
            yield f"biases.{number}", (m_out,)

    @property
    def n_parameters(self) -> int:
        """Sum over l of m^(l-1) m^(l) + m^(l), in integers that cannot overflow."""
        return sum((m_in + 1) * m_out for m_in, m_out in pairwise(self.layers))


def save(
    network: Network,
    path: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a network to a file, completely or not at all; see `Network.save`.

    The same network and metadata give the same bytes every time. An existing file is replaced in
    one step and keeps its permissions; if anything fails before that, it stays as it was.
    TypeError for wrong arguments; ValueError if a parameter is not finite, the metadata cannot be
    stored or `path` names something else than a file; OSError if the file cannot be written.
    """
    name = _path_name(path)
    user = _user_entries(metadata)
    tensors: dict[str, NDArray[np.float64]] = {}
    for number, (w, b) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        tensors[f"weights.{number}"] = w
        tensors[f"biases.{number}"] = b
    with _writing(name):
        for tensor, values in tensors.items():
            _check_finite(tensor, values)
        entries = _network_entries(network) | user
        with _replacement(name) as temporary:
            save_file(tensors, temporary, metadata=entries)
            _sort_metadata(temporary)


def write_bytes(name: str, content: bytes) -> None:
    """Write a file, completely or not at all; errors name it."""
    with _writing(name), _replacement(name) as temporary, open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load(path: str | os.PathLike[str]) -> Network:
    """Read a network that `Network.save` wrote.

    Parameters
    ----------
    path : str or os.PathLike
        The file to read. It may come from an untrusted source.

    Returns
    -------
    Network
        With the same parameters, seed and position in its random stream, bit for bit.

    Raises
    ------
    TypeError
        `path` is neither a str nor an os.PathLike of one.
    ValueError
        The file is not a deltaloop model, is damaged, or is of a newer version.
    OSError
        The file cannot be read: FileNotFoundError, IsADirectoryError, PermissionError, ...

    Examples
    --------
    >>> import deltaloop as dl, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "net.safetensors")
    >>> dl.Network([2, 3, 1], activation="tanh", seed=7).save(path)
    >>> dl.load(path)
    Network([2, 3, 1], activation='tanh', output='tanh', loss='squared_error', seed=7)
    """
    from deltaloop.network import Network

    name = _path_name(path)
    with _naming(name):
        data_bytes = _check_size(name)
        with safe_open(name, framework="numpy") as file:
            description = _describe(file.metadata())
            _check_tensors(file, description, data_bytes)
            parameters = _read_parameters(file, description)
        return Network._restore(
            description.layers,
            description.activation,
            description.output,
            description.loss,
            description.residual,
            description.init,
            description.seed,
            description.position,
            parameters,
        )


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that was given to `Network.save`, empty if none was.

    Fails as `load` does, but does not look at the tensors.
    """
    name = _path_name(path)
    with _naming(name):
        _check_size(name)
        with safe_open(name, framework="numpy") as file:
            return _describe(file.metadata()).user


def _path_name(path: object) -> str:
    """Return `path` as a str. TypeError unless it is a str or an os.PathLike of one."""
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise TypeError(f"path must be a str or an os.PathLike of one, got {type(path).__name__}")
    if "\0" in name:
        raise ValueError(f"path must not hold a null character, got {name!r}")
    return name


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn every way in which a file can be wrong into a ValueError that names it."""
    try:
        yield
    except SafetensorError as error:
        # Its message may quote the header, raw and at any length.
        raise ValueError(f"{name}: damaged safetensors file: {short(str(error), 200)}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """Name errors after the file that was asked for, not the temporary one."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{name}: {error}") from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _user_entries(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's metadata with prefixed keys. TypeError or ValueError if not storable."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, got {type(metadata).__name__}")
    for key, value in metadata.items():
        if not isinstance(key, str):
            raise TypeError(f"metadata keys must be str, got {key!r}")
        if not isinstance(value, str):
            raise TypeError(f"metadata[{key!r}] must be a str, got {type(value).__name__}")
        try:
            (key + value).encode()
        except UnicodeEncodeError:
            raise ValueError(f"metadata[{key!r}] has no UTF-8 encoding") from None
    return {USER_PREFIX + key: value for key, value in metadata.items()}


def _network_entries(network: Network) -> dict[str, str]:
    """Return what the metadata says about the network. ValueError for a seed without end."""
    if network.seed >= 10**MAX_SEED_DIGITS:
        raise ValueError(f"seed has more than {MAX_SEED_DIGITS} decimal digits")
    entries = {"residual": "true"} if network.residual else {}
    return entries | {
        "format": FORMAT,
        "version": str(VERSION if network.residual else 1),
        "layers": json.dumps(list(network.layers)),
        "activation": json.dumps(list(network.activation)),
        "output": network.output,
        "loss": str(network.loss),
        "init": json.dumps(None if network.init is None else str(network.init)),
        "seed": str(network.seed),
        "position": str(network._position),
    }


@contextmanager
def _replacement(name: str) -> Iterator[str]:
    """Yield the name of a new file beside `name` that becomes `name` if the block succeeds.

    It lies in the same directory, so that the final rename cannot cross file systems. Links are
    followed: it is what they point to that is replaced.
    """
    target = os.path.realpath(name)
    mode = _existing_mode(target)
    temporary = os.path.join(os.path.dirname(target), f".deltaloop-{secrets.token_hex(8)}.tmp")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    try:
        # safetensors (0.8.0) replaces the file by one that nobody else may read.
        mode = os.stat(temporary).st_mode if mode is None else mode
        yield temporary
        os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _existing_mode(target: str) -> int | None:
    """Return the permissions of the file to be replaced, None if there is none.

    A rename would replace a directory's contents, a device or a write-protected file without
    asking, hence the errors.
    """
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), target)
    if not stat.S_ISREG(mode):
        raise ValueError("expected a regular file or a new name, found something else there")
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
    return mode


def _sort_metadata(path: str) -> None:
    """Put the metadata of a new file in order and bring the file to the disk.

    safetensors (0.8.0 and before) writes the keys in an order that changes from process to
    process. The sorted header is the same text in another order, so it fits where the old one
    was.
    """
    with open(path, "r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(
                f"expected a header of at most {MAX_HEADER_BYTES} bytes, layers and metadata "
                f"take {length}"
            )
        header = _json_header(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) > length:
            raise RuntimeError(f"the header grew from {length} to {len(text)} bytes")
        file.seek(8)
        file.write(text.ljust(length))
        file.flush()
        os.fsync(file.fileno())


def _check_size(name: str) -> int:
    """Return the number of bytes of tensor data, by the file's size and its header's length."""
    status = os.stat(name)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("expected a regular file, found something else")
    with open(name, "rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise ValueError(
                f"expected a safetensors file of more than 8 bytes, found {len(start)}"
            )
        length = int.from_bytes(start, "little")
        limit = min(MAX_HEADER_BYTES, status.st_size - 8)
        if not 2 <= length <= limit:
            raise ValueError(
                f"expected a safetensors header of 2 to {limit} bytes, found a length of {length}"
            )
        _json_header(file.read(length))
    return status.st_size - 8 - length


def _json_header(text: bytes) -> dict[str, Any]:
    """Parse a header. ValueError if it takes much memory, is no object, or says a thing twice."""
    parts, quoted = 0, False
    for match in re.finditer(rb'\\.|["\[{,]', text):
        if match[0] == b'"':
            quoted = not quoted
            parts += quoted
        elif not quoted:
            parts += 1
        if parts > MAX_HEADER_PARTS:
            raise ValueError(
                f"expected a header of at most {MAX_HEADER_PARTS} values and brackets, found more"
            )
    try:
        header = json.loads(text, object_pairs_hook=_object)
    except _DuplicateKeyError:
        raise
    except (ValueError, RecursionError):
        found = short(text[:100].decode(errors="replace"))
        raise ValueError(f"expected a header of JSON, found {found}") from None
    if not isinstance(header, dict):
        raise ValueError(
            f"expected a header that is a JSON object, found a {type(header).__name__}"
        )
    return header


class _DuplicateKeyError(ValueError):
    """A JSON object with the same key twice, of which readers take one or the other."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKeyError(
                f"expected each key of the header once, found {short(key)} twice"
            )
        found[key] = value
    return found


def _describe(entries: Mapping[str, str] | None) -> _Description:
    """Check the metadata and convert it. ValueError if anything about it is unexpected."""
    from deltaloop import inits, losses

    entries = {} if entries is None else entries
    version = _check_version(entries)
    known = {key for key in entries if not key.startswith(USER_PREFIX)}
    _check_names("metadata", _REQUIRED_KEYS | ({"residual"} if version > 1 else set()), known)
    if entries.get("residual", "true") != "true":
        raise ValueError(f"expected residual to be true, found {short(entries['residual'])}")
    layers = _json_layers(entries["layers"])
    activation = _json_names("activation", entries["activation"], len(layers) - 2)
    init = _json("init", entries["init"])
    return _Description(
        layers=layers,
        activation=activation,
        output=_name("output", entries["output"]),
        loss=_option("loss", entries["loss"], losses.of_text),
        residual="residual" in entries,
        init=None if init is None else _option("init", init, inits.of_text),
        seed=_decimal("seed", entries["seed"], 10**MAX_SEED_DIGITS - 1),
        position=_decimal("position", entries["position"], MAX_POSITION),
        user={
            key.removeprefix(USER_PREFIX): value
            for key, value in sorted(entries.items())
            if key.startswith(USER_PREFIX)
        },
    )


def _check_version(entries: Mapping[str, str]) -> int:
    """Return the file's version."""
    if entries.get("format") != FORMAT:
        found = short(entries["format"]) if "format" in entries else "none"
        raise ValueError(f"expected metadata with format {FORMAT!r}, found {found}")
    version = _decimal("version", entries.get("version", ""), None)
    if version > VERSION:
        raise ValueError(
            f"expected file version 1 to {VERSION}, found {version}: it was written by a newer "
            "deltaloop, which is needed to read it"
        )
    if version < 1:
        raise ValueError(f"expected file version 1 to {VERSION}, found {version}")
    return version


def _check_names(what: str, expected: frozenset[str], found: set[str]) -> None:
    if expected != found:
        raise ValueError(
            f"expected exactly the {what} that the format calls for; "
            f"missing: {_listed(expected - found)}; unexpected: {_listed(found - expected)}"
        )


def _listed(names: Set[str]) -> str:
    """Name at most three of them."""
    shown = ", ".join(short(name) for name in sorted(names)[:3]) or "none"
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _json(key: str, text: str) -> Any:
    if len(text) > MAX_JSON_CHARACTERS:
        raise ValueError(
            f"expected {key} to be JSON of at most {MAX_JSON_CHARACTERS} characters, found "
            f"{len(text)}"
        )
    # RecursionError is how the parser ends on thousands of nested brackets.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"expected {key} to be JSON, found {short(text)}") from None


def _json_layers(text: str) -> tuple[int, ...]:
    value = _json("layers", text)
    # type(), since JSON's true is an int as well.
    if not (
        isinstance(value, list)
        and len(value) >= 2
        and all(type(size) is int and 1 <= size <= MAX_UNITS for size in value)
    ):
        raise ValueError(
            f"expected layers to be a JSON list of two or more sizes from 1, found {short(text)}"
        )
    return tuple(value)


def _json_names(key: str, text: str, count: int) -> tuple[str, ...]:
    value = _json(key, text)
    if not (isinstance(value, list) and len(value) == count):
        raise ValueError(
            f"expected {key} to be a JSON list of {count} names, one a hidden layer, found "
            f"{short(text)}"
        )
    return tuple(_name(key, name) for name in value)


def _name(key: str, value: object) -> str:
    """Return what looks like a name; whether the network knows it is seen later."""
    if isinstance(value, str) and re.fullmatch(r"[a-z0-9_]{1,40}", value):
        return value
    raise ValueError(f"expected {key} to be a name, found {short(str(value))}")


def _option(key: str, value: object, of_text: Callable[[str, tuple[float, ...]], T]) -> str | T:
    """Return a name, or what a name with numbers in brackets stands for, such as huber(0.5)."""
    number = r"-?[0-9.]{1,30}(?:e[-+][0-9]{1,3})?"
    pattern = rf"([a-z0-9_]{{1,40}})\(({number}(?:,{number})*)\)"
    match = re.fullmatch(pattern, value) if isinstance(value, str) else None
    if match is None:
        return _name(key, value)
    return of_text(match[1], tuple(float(part) for part in match[2].split(",")))


def _decimal(key: str, text: str, maximum: int | None) -> int:
    """Return a whole number written the one canonical way, from 0 to `maximum`."""
    if len(text) <= MAX_SEED_DIGITS and re.fullmatch(r"0|[1-9][0-9]*", text):
        value = int(text)
        if maximum is None or value <= maximum:
            return value
        raise ValueError(f"expected {key} to be at most {maximum}, found {short(text)}")
    raise ValueError(f"expected {key} to be a decimal number, found {short(text)}")


def _check_tensors(file: Any, description: _Description, data_bytes: int) -> None:
    """Raise a ValueError unless the tensors are those of the layers, and nothing else."""
    if 8 * description.n_parameters != data_bytes:
        raise ValueError(
            f"expected {description.n_parameters} float64 values of layers "
            f"{short(str(list(description.layers)))}, found {data_bytes} bytes of tensors"
        )
    shapes = dict(description.shapes())
    _check_names("tensors", frozenset(shapes), set(file.keys()))
    for name, shape in shapes.items():
        view = file.get_slice(name)
        if view.get_dtype() != "F64":
            raise ValueError(f"expected {name} to be F64, found {view.get_dtype()}")
        if tuple(view.get_shape()) != shape:
            raise ValueError(
                f"expected {name} to have shape {shape}, found "
                f"{short(str(tuple(view.get_shape())[:20]))}"
            )


def _read_parameters(file: Any, description: _Description) -> NDArray[np.float64]:
    """Return all parameters (P,); beside them one tensor at a time is in memory."""
    parameters = np.empty(description.n_parameters)
    start = 0
    for name, _ in description.shapes():
        values = file.get_tensor(name)
        _check_finite(name, values)
        parameters[start : start + values.size] = values.ravel()
        start += values.size
    return parameters


def _check_finite(name: str, values: NDArray[np.float64]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        place = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(
            f"expected finite values in {name}, found {values[place]} at {list(place)}"
        )


def short(text: str, limit: int = 60) -> str:
    """Quote what a file holds, shortened, control characters escaped."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
