"""
A network as C code, compiled and compared
==========================================

This story is for those who need predictions where there is no Python, such as on a
board. A network becomes one file of C. The file is compiled here, and answers with the
same bytes as Python.
"""

# %%
# A network
# ---------
# A thermistor is a resistor that tells the temperature. The network turns its resistance
# in kiloohm into degrees Celsius.

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import deltaloop as dl

celsius = np.linspace(-20, 100, 200)
kiloohm = 10.0 * np.exp(3950.0 * (1 / (celsius + 273.15) - 1 / 298.15))
net = dl.Network([1, 8, 1], activation="tanh", output="identity", seed=0)
x = np.log(kiloohm).reshape(-1, 1)
solver = dl.LevenbergMarquardt()
result = net.fit(x, celsius, solver=solver, scale="standard", max_epochs=200)
print(result.message)

# %%
# The file, and a compiler
# ------------------------
# The file needs nothing of deltaloop and allocates no memory. A C compiler makes a
# library of it, and ctypes calls the function ``net_predict``. This function works in an
# array of the caller, whose length is the macro ``NET_WORKSPACE``: here 64 is enough.

folder = Path(tempfile.mkdtemp())
net.to_c(folder / "net.c")
text = (folder / "net.c").read_text()
compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
options = ["-O2", "-std=c99", "-ffp-contract=off", "-shared", "-fPIC"]
subprocess.run([compiler, *options, folder / "net.c", "-o", folder / "net.so", "-lm"], check=True)
library = ctypes.CDLL(str(folder / "net.so"))
print(f"{len(text.splitlines())} lines of C, self-test: {library.net_self_test()}")

numbers = ctypes.POINTER(ctypes.c_double)
by_c, workspace = np.empty((200, 1)), np.empty(64)
for row, answer in zip(x, by_c, strict=True):
    library.net_predict(*(array.ctypes.data_as(numbers) for array in (row, answer, workspace)))
shutil.rmtree(folder)

# %%
# The comparison
# --------------

by_python = net.predict(x)
figure, (top, bottom) = plt.subplots(2, 1, figsize=(6.4, 5.6), sharex=True, layout="constrained")
top.semilogx(kiloohm, by_c, color="#0072B2")
top.set(ylabel="temperature, °C", title="The C code answers as Python does, byte by byte")
bottom.plot(kiloohm, 1000 * (by_python[:, 0] - celsius), color="#0072B2", label="Python - truth")
bottom.plot(kiloohm, by_c - by_python, "--", color="#D55E00", label="C - Python: 0 everywhere")
bottom.set(xlabel="resistance, kiloohm", ylabel="difference, thousandths of 1 °C")
bottom.legend()
plt.show()

# %%
# What to take away
# -----------------
# The C code gives the bytes of ``predict``, on a board as well. What you test in Python
# is what runs there. :doc:`../howto/export` gives the other ways out of Python, and
# :doc:`../reference/embedded` builds for a microcontroller.

assert by_c.tobytes() == by_python.tobytes()
assert np.abs(by_python[:, 0] - celsius).max() < 0.05
