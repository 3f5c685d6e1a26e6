"""Model files: a network as one safetensors file, written atomically and read strictly.

`model` writes and reads a whole file, `description` is what its metadata says, `header` checks what
comes first in it; `atomic` writes files of any kind, and `paths` names them in messages.
"""
