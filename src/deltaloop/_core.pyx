# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True, embedsignature=False
"""The C core as Python objects: memory safety, lifetimes and one table of errors; no policy.

It imports nothing of the package but ``_threads``. The classes take arrays, names and numbers that
were validated in Python; only ``predict``, ``step`` and the predictor look at an array themselves, so
that one that is exact already goes straight to C, and leave any other to a method that the subclass in
Python supplies. Solvers and schedules say themselves what they are called in C and which options they
have there. Way to the hot loop: ``csrc/network/layers.c``, then ``csrc/kernels/product.inc.h``.

One extension module, in the files of ``_extension/``: a second one would have a pool of threads of
its own. The folder is not called ``_core``, as Python would take it for the module before a build.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport (
    PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext, PyCapsule_SetDestructor,
)
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.unicode cimport PyUnicode_AsUTF8, PyUnicode_AsUTF8String
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport INFINITY, NAN
from libc.stddef cimport ptrdiff_t, size_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove, memset

from deltaloop._mlp cimport *

import os
import threading

import numpy as np

from deltaloop import _threads

cnp.import_array()

cdef extern from *:
    """
    #if defined(__clang__)
    #define DELTALOOP_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define DELTALOOP_COMPILER "gcc " __VERSION__
    #elif defined(_MSC_VER)
    #define DELTALOOP_COMPILER "msvc"
    #else
    #define DELTALOOP_COMPILER "unknown"
    #endif
    """
    const char *DELTALOOP_VERSION
    const char *DELTALOOP_COMPILER


__version__ = DELTALOOP_VERSION.decode()
COMPILER = DELTALOOP_COMPILER.decode().strip()  # Clang's version may end in a space

include "_extension/tables.pxi"
include "_extension/slices.pxi"
include "_extension/arrays.pxi"
include "_extension/blocks.pxi"
include "_extension/stream.pxi"
include "_extension/network.pxi"
include "_extension/hold.pxi"
include "_extension/fit.pxi"
include "_extension/pieces.pxi"
include "_extension/stepper.pxi"
include "_extension/predictor.pxi"
