"""Model files: a network as one safetensors file, written atomically and read strictly.

`model` writes and reads a whole file, `description` is what its metadata says, `header` checks what
comes first in it. For files of any kind `contents` reads them once, `atomic` writes them completely
or not at all, `temporary` holds the new file until then, `strict_json` parses, and `paths` names
them in messages.
"""
