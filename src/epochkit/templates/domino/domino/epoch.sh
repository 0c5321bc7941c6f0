#!/usr/bin/env bash
# The command of a job or launcher: `bash domino/epoch.sh run next` is `epoch run next` in the project's folder.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
export OMP_WAIT_POLICY=PASSIVE
epoch "$@"
code=$?
if [ "$code" -eq 3 ]; then  # the platform would call the job failed
    echo "A person decides next: open nbs/index.ipynb in a workspace, or type 'epoch approve N' in its terminal." >&2
    exit 0
fi
exit "$code"
