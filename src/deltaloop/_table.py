"""Where pickles look for the columns of a table, whose code is in `tabular/`."""

from deltaloop.tabular._columns import Column, Table

__all__ = ["Column", "Table"]
