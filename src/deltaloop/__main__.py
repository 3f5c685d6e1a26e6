"""`python -m deltaloop` is the command `deltaloop`."""

from deltaloop.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
