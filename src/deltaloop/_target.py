"""Where pickles look for the target of a table, whose code is in `tabular/_target.py`."""

from deltaloop.tabular._target import Target

__all__ = ["Target"]
