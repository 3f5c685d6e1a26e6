"""Training and prediction on data that the workers of a Dask cluster hold.

From the bottom up: `given` finds the blocks of what the user gave, `blocks` is what a worker
does with them, `plan` says which rows each worker sums up, `cluster` asks the workers and waits for
them, `data` is the instances of a fit as all that, and `fit`, `predict` and `estimators` are what
users call.
"""
