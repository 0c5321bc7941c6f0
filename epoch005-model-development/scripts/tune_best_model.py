"""Phase 2 of epoch 005: tunes the winner of phase 1, registers it and writes the six tuning files.

    python epoch005-model-development/scripts/tune_best_model.py [--trials 30]

Works on $EPOCH_HOME (default: this repository), as `epoch tune` does. The notebook calls `tune_within` of this file in a process of its own, so that what is changed here counts there too.
"""
import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from epochkit.models.registration import tune_within  # noqa: F401
from epochkit.models.tune import main

if __name__ == "__main__":
    sys.exit(main())
