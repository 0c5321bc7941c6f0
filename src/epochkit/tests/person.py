"""A person at a terminal: a pseudo-terminal that types the answers which `epoch approve` asks for."""
import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from epochkit.review.decisions import REVIEW
from epochkit.tests.conftest import EPOCH, ROOT


class Shown(NamedTuple):
    "Exit code of a command, and what the terminal showed"
    code: int
    text: str


def at_terminal(home: Path, *command: str, answers: tuple[str, ...] = (), env: Mapping[str, str] | None = None) -> Shown:
    "Runs `epoch` in a pseudo-terminal and types the answers, a line each; `env` comes on top of this process's"
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*EPOCH, *command], stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, close_fds=True,
                               env={**os.environ, "EPOCH_HOME": str(home), **(env or {})})
    os.close(theirs)
    os.write(ours, "".join(f"{answer}\n" for answer in answers).encode())
    shown = b""
    try:
        while piece := os.read(ours, 65_536):
            shown += piece
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    return Shown(process.wait(timeout=120), shown.decode(errors="replace"))


def yes_to(gate: int, comment: str = "", reviewer: str = "Ada") -> tuple[str, ...]:
    "What a person types who confirms every point of a gate whose checks pass"
    return ("y",) * len(REVIEW[gate]) + (comment, reviewer, f"{gate:03d}")
