"""A predictor's capsules as functions that ctypes calls."""

from __future__ import annotations

import ctypes

import numpy as np

ROWS = "void (const double *, double *, void *)"
SCALAR = "double (int, double *, void *)"

POINTER = ctypes.POINTER(ctypes.c_double)
TYPES = {
    ROWS: ctypes.CFUNCTYPE(None, POINTER, POINTER, ctypes.c_void_p),
    SCALAR: ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, POINTER, ctypes.c_void_p),
}
get_name = ctypes.pythonapi.PyCapsule_GetName
get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
get_context = ctypes.pythonapi.PyCapsule_GetContext
get_context.restype, get_context.argtypes = ctypes.c_void_p, [ctypes.py_object]


def rows_function(capsule):
    """What the capsule holds, as a function of instances that gives outputs of this shape."""
    function, context = TYPES[ROWS](get_pointer(capsule, ROWS.encode())), get_context(capsule)

    def call(x, shape):
        y = np.full(shape, np.nan)
        function(x.ctypes.data_as(POINTER), y.ctypes.data_as(POINTER), context)
        return y

    return call


def scalar_function(capsule):
    function, context = TYPES[SCALAR](get_pointer(capsule, SCALAR.encode())), get_context(capsule)
    return lambda x: function(len(x), x.ctypes.data_as(POINTER), context)
