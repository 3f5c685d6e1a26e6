"""The estimators on the rows of a Dask cluster: ``deltaloop.distributed`` shows them.

They train as the others do, by `Training`; but the rows are elsewhere (`RowsElsewhere`).
"""

from deltaloop.sklearn._dask.classifier import DaskMLPClassifier
from deltaloop.sklearn._dask.regressor import DaskMLPRegressor

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]
