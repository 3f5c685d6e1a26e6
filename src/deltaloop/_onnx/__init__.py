"""ONNX files: `write` makes them, `read` understands them.

`protobuf` checks the bytes of a file, `operators` the attributes of its nodes, `graph` finds the
layers in it, of which `values` keeps what is known, and `activations` has the operators that the
activations are made of, for both ways.
"""
