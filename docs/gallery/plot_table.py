"""
From a CSV file to a prediction, and what mattered
==================================================

This story is for those who have a table and want to predict one of its columns. The
table has 344 penguins of Antarctica, with text, numbers and gaps. How heavy is a
penguin, and which columns tell?
"""

# %%
# The file
# --------
# The script writes a CSV file first, as yours would be. polars reads it.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl

import deltaloop as dl
from deltaloop.datasets import load_penguins
from deltaloop.tabular import TabularModel

folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "penguins.csv"
pl.DataFrame(load_penguins()).write_csv(path)
table = pl.read_csv(path)
folder.cleanup()
print(table.head(4).select("species", "sex", "flipper_length_mm", "body_mass_g"))

# %%
# The model
# ---------
# The model encodes text, fills gaps, scales numbers and chooses its penalty. The model
# holds out a fifth of the rows, and measures itself on these rows.

model = TabularModel(seed=0).fit(table, "body_mass_g")
print(model.report["verdict"].replace(": ", ":\n"))

# %%
# A prediction for new penguins. A value may be missing.

new = table.head(2).with_columns(bill_length_mm=pl.Series([None, 41.0]))
print(model.predict(new).round())

# %%
# What mattered
# -------------
# The values of a column are shuffled among the rows held out. The more the score falls,
# the more the model needs the column. The score R² is 1 at best, and 0 for the mean.

held = table[model.test_rows]
score = model.score(held)
rng = np.random.default_rng(0)
drops = {}
for name in (column.name for column in model.columns):
    shuffled = [held.with_columns(held[name].gather(rng.permutation(len(held)))) for _ in range(10)]
    drops[name] = score - np.mean([model.score(frame) for frame in shuffled])

figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.0, 7.6), layout="constrained")
figure.suptitle("Mass of 68 penguins that were held out, and what tells it")
dl.plot.predicted_against_true(held["body_mass_g"].to_numpy(), model.predict(held), ax=top)
top.set(xlabel="true mass, g", ylabel="predicted mass, g")
dl.plot.importance(list(drops), list(drops.values()), measure="R²", ax=bottom)
plt.show()

# %%
# What to take away
# -----------------
# The command line does the same without a line of Python:
# ``deltaloop train penguins.csv --target body_mass_g``. Columns that tell the same share
# their importance. :doc:`../start/table` does it with your table.

assert score > 0.75
assert max(drops, key=drops.get) in ("species", "flipper_length_mm")
assert drops["year"] < 0.05
