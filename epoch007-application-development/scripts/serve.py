"""Serves the Production model over HTTP; the same as `python -m epochkit.serving.api`."""

from epochkit.serving.api import main

if __name__ == "__main__":
    raise SystemExit(main())
