"""ONNX files: `write` makes them, `read` understands them.

`protobuf` checks the bytes of a file, `graph` finds the layers in it, and `activations` has the
operators that the activations are made of, for both ways.
"""
