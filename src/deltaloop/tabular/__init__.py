"""Models of tables: from the columns of a frame to a trained network, and back to labels."""

from typing import TYPE_CHECKING

from deltaloop._deprecated import moved
from deltaloop.tabular._columns import Column, Table
from deltaloop.tabular._importance import Importance
from deltaloop.tabular._model import TabularModel
from deltaloop.tabular._target import Target

__all__ = ["Column", "Importance", "TabularModel"]

# Pickles name these paths, whatever file the classes are in.
TabularModel.__module__ = Importance.__module__ = __name__
Column.__module__ = Table.__module__ = "deltaloop._table"
Target.__module__ = "deltaloop._target"

if not TYPE_CHECKING:
    __getattr__ = moved(
        __name__,
        {"METADATA": f"{__name__}._model.METADATA", "TASKS": "deltaloop._losses.TASKS"},
        {},
    )
