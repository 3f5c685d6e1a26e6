"""Data that do not all lie in memory: they are read block by block, while C works on them.

A block is some rows (`block.py`). Each kind of data is a row of the table in ``kinds.py`` and has a
file that reads it, which gives the blocks from the first row to the last, as often as it is asked
to. A first pass (``survey.py``) checks all rows and counts them. In the passes of a fit a thread
(``ahead.py``) reads blocks into windows (``windows.py``), of which C has one while the next one is
filled.
"""
