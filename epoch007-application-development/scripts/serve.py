"""Serves the Production model over HTTP; the same as `python -m credit_risk.serving`."""

from credit_risk.serving import main

if __name__ == "__main__":
    raise SystemExit(main())
