"""Models of tables: from the columns of a frame to a trained network, and back to labels."""

from deltaloop.tabular._columns import Column
from deltaloop.tabular._model import TabularModel

__all__ = ["Column", "TabularModel"]

TabularModel.__module__ = __name__  # its public path, which pickles name
