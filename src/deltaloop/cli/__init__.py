"""The command line: `deltaloop train`, `deltaloop predict`, `deltaloop info`.

`main` parses the arguments (`_parser`, `_types`, `_solvers`) and runs a command, on arrays
(`_arrays`, `_npz`) or on tables (`_tables`, `_table_files`, `_csv`); `_reports` and `_pictures` are
what it prints and draws.
"""

from deltaloop.cli._parser import main

__all__ = ["main"]
