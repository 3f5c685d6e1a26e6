"""What the metadata of a model's file says about a network: written, and read strictly.

Every entry is text. What is read is believed only as far as it has the form that is written;
whether a network can be made of it is seen by whoever makes one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Set
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from deltaloop import inits, losses, scaling
from deltaloop._files import strict_json
from deltaloop._files.paths import short
from deltaloop.scaling import Scaling

if TYPE_CHECKING:
    from deltaloop import _core
    from deltaloop.inits import Init
    from deltaloop.losses import Loss

T = TypeVar("T")

FORMAT = "deltaloop"
# Of another kind of file, which holds the state of a fit.
CHECKPOINT = "deltaloop checkpoint"
# What each version adds: files of version 2 have one more entry, residual; those of version 3 have
# scaling, and maybe residual, and its arrays behind the parameters. A network is written as the
# least version that can say it.
VERSION = 3
USER_PREFIX = "user."
# The user's entry that makes a network the model of a table: JSON, an object (tabular/_storing.py).
TABLE = "table"

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


class Description(NamedTuple):
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
    scaling: str | None  # its kind

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of every tensor, in the order of the parameters."""
        for number, (m_in, m_out) in enumerate(pairwise(self.layers), start=1):
            yield f"weights.{number}", (m_in, m_out)
            yield f"biases.{number}", (m_out,)
        if self.scaling is not None:
            for name in scaling.ARRAYS:
                yield f"scaling.{name}", (self.layers[0 if name.startswith("input") else -1],)

    @property
    def n_parameters(self) -> int:
        """Sum over l of m^(l-1) m^(l) + m^(l), in integers that cannot overflow."""
        return sum((m_in + 1) * m_out for m_in, m_out in pairwise(self.layers))

    @property
    def n_values(self) -> int:
        """All numbers in the tensors: parameters, and those of a scaling."""
        some = 0 if self.scaling is None else 2 * (self.layers[0] + self.layers[-1])
        return self.n_parameters + some

    def scaling_of(self, values: NDArray[np.float64]) -> Scaling | None:
        """Return the scaling, from all numbers in the order of `shapes`. ValueError for none."""
        if self.scaling is None:
            return None
        m_in, m_out = self.layers[0], self.layers[-1]
        stops = np.cumsum([self.n_parameters, m_in, m_in, m_out])
        a, b, c, d = np.split(values, stops)[1:]
        return Scaling(a, b, c, d, self.scaling)


def entries_of(network: _core.Core) -> dict[str, str]:
    """Return what the metadata says about the network. ValueError for a seed without end."""
    if network.seed >= 10**MAX_SEED_DIGITS:
        raise ValueError(f"seed has more than {MAX_SEED_DIGITS} decimal digits")
    entries = {"residual": "true"} if network.residual else {}
    version = 2 if network.residual else 1
    if network._scaling is not None:
        entries["scaling"], version = network._scaling.kind, 3
    return entries | {
        "format": FORMAT,
        "version": str(version),
        "layers": json.dumps(list(network.layers)),
        "activation": json.dumps(list(network.activation)),
        "output": network.output,
        "loss": str(network.loss),
        "init": json.dumps(None if network.init is None else str(network.init)),
        "seed": str(network.seed),
        "position": str(network._position),
    }


def describe(entries: Mapping[str, str] | None) -> Description:
    """Check the metadata and convert it. ValueError if anything about it is unexpected."""
    entries = {} if entries is None else entries
    version = _check_version(entries)
    known = {key for key in entries if not key.startswith(USER_PREFIX)}
    needed = {1: set[str](), 2: {"residual"}, 3: {"scaling"} | ({"residual"} & known)}[version]
    check_names("metadata", _REQUIRED_KEYS | needed, known)
    if entries.get("residual", "true") != "true":
        raise ValueError(f"expected residual to be true, found {short(entries['residual'])}")
    layers = _json_layers(entries["layers"])
    activation = _json_names("activation", entries["activation"], len(layers) - 2)
    init = _json("init", entries["init"])
    return Description(
        layers=layers,
        activation=activation,
        output=_name("output", entries["output"]),
        loss=_option("loss", entries["loss"], losses._of_text),
        residual="residual" in entries,
        init=None if init is None else _option("init", init, inits.of_text),
        seed=_decimal("seed", entries["seed"], 10**MAX_SEED_DIGITS - 1),
        position=_decimal("position", entries["position"], MAX_POSITION),
        user={
            key.removeprefix(USER_PREFIX): value
            for key, value in sorted(entries.items())
            if key.startswith(USER_PREFIX)
        },
        scaling=_scaling_kind(entries["scaling"]) if "scaling" in entries else None,
    )


def _scaling_kind(text: str) -> str:
    kinds = (*scaling.KINDS, scaling.GIVEN)
    if text not in kinds:
        raise ValueError(f"expected scaling to be one of {', '.join(kinds)}, found {short(text)}")
    return text


def _check_version(entries: Mapping[str, str]) -> int:
    """Return the file's version."""
    if entries.get("format") != FORMAT:
        found = short(entries["format"]) if "format" in entries else "none"
        if entries.get("format") == CHECKPOINT:
            found += ", the checkpoint of a fit: give it to fit as resume"
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


def check_names(what: str, expected: frozenset[str], found: set[str]) -> None:
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
    return strict_json.parse(text, key, MAX_JSON_CHARACTERS)


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
