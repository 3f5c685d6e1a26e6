"""The tests, in folders with the names of the source folders that they test."""
