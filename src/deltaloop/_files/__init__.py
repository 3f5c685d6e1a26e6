"""Model files: a network as one safetensors file, written atomically and read strictly."""
