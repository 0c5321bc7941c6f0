"""Writers of the record are killed with kill -9 at random, at each system call, and write eight at a time: nothing acknowledged is lost.

50 random kills in the normal run, 1,000 with the marker `soak`. A writer acknowledges an event on a pipe once `append` has returned.
"""
import os
import random
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from epochkit.core.settings import load_settings
from epochkit.record.events import SCHEMA_VERSION, schema_of
from epochkit.record.ledger import Ledger
from epochkit.record.views import differing_views, write_views
from epochkit.lifecycle.verify import check_record

# a server that has paid the import forks a writer for each line it reads; the writer dies by our kill -9
SERVER = '''
import fcntl, os, psutil, signal, sys
from epochkit.record.ledger import Ledger
from epochkit.record.views import VIEWS, write_views


def append(folder, appends, views_every):
    ledger = Ledger(folder, actor="writer")
    for number in range(appends):
        event = ledger.append("note", {"pid": os.getpid(), "number": number, "text": "\\u00e4" * (number % 50)})
        os.write(1, f"{event.seq} {event.hash}\\n".encode())
        if number % views_every == views_every - 1:
            write_views(ledger)


def die_at(call, half):
    """kill -9 of this process before its call-th system call; or, `half`, when half of its call-th write is done. The head is left out
    of that: its one short write within a page cannot be cut by a signal"""
    state = {"calls": 0}
    def dying(name, real):
        def one_call(*arguments, **options):
            cut = name == "write" and not os.readlink(f"/proc/self/fd/{arguments[0]}").endswith("ledger.head")
            state["calls"] += cut or not half
            if state["calls"] == call and (cut or not half):
                if half:
                    real(arguments[0], bytes(arguments[1])[:max(1, len(arguments[1]) // 2)])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)
        return one_call
    names = ("write",) if half else ("open", "write", "fsync", "close", "replace", "ftruncate", "truncate", "mkdir", "unlink")
    for name in names:
        setattr(os, name, dying(name, getattr(os, name)))


for line in iter(sys.stdin.readline, ""):
    folder, appends, call, half, views_every = line.rstrip("\\n").split("\\t")
    pid = os.fork()
    if pid == 0:
        acknowledge = os.write
        if int(call):
            ledger = Ledger(folder, actor="writer")
            for name in list(VIEWS)[1:]:  # one view stands for all
                del VIEWS[name]
            die_at(int(call), half == "half")
            ledger.append("note", {"call": int(call)})
            write_views(ledger)
            acknowledge(1, b"survived\\n")
        else:
            append(folder, int(appends), int(views_every))
        os._exit(0)
    os.write(1, f"pid {pid}\\n".encode())
    os.waitpid(pid, 0)
    os.write(1, b"ended\\n")
'''


class Server:
    "A process that forks writers"

    def __init__(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._rest, self.early = b"", []

    def start(self, folder: Path, appends: int = 1_000_000, call: int = 0, half: bool = False, views_every: int = 7) -> int:
        "Process id of a new writer"
        self.process.stdin.write(f"{folder}\t{appends}\t{call}\t{'half' if half else ''}\t{views_every}\n".encode())
        self.process.stdin.flush()
        while not (line := self.line()).startswith("pid "):
            self.early.append(line)
        return int(line[4:])

    def line(self) -> str:
        "The next line a writer or the server wrote"
        while b"\n" not in self._rest:
            assert select.select([self.process.stdout], [], [], 60)[0], "the writer hangs"
            piece = os.read(self.process.stdout.fileno(), 65_536)
            assert piece, "the server of writers died"
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def until_ended(self) -> list[str]:
        "What the writer had acknowledged when it ended"
        lines, self.early = self.early, []
        while (line := self.line()) != "ended":
            lines.append(line)
        return lines


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.stdin.close()
    server.process.wait(10)


def acknowledged(lines: list[str]) -> dict[int, str]:
    "Sequence number -> hash of what a writer said is on disk"
    return {int(seq): sha256 for seq, sha256 in (line.split() for line in lines)}


def check_whole(folder: Path, promised: dict[int, str]) -> int:
    "Number of events; fails unless the record reads, holds what was promised, goes on and can be drawn anew"
    ledger = Ledger(folder, actor="test")
    events = ledger.events()
    assert not events or events[0].kind == "ledger_created"
    assert not events or schema_of(events) == SCHEMA_VERSION or len(events) == 27
    hashes = {event.seq: event.hash for event in events}
    lost = {seq: sha256 for seq, sha256 in promised.items() if hashes.get(seq) != sha256}
    assert not lost, f"{len(lost)} acknowledged events are lost: {lost}"
    ledger.append("note", {"after": "a kill"})
    write_views(ledger)
    assert differing_views(ledger) == []
    return len(hashes)


def kill_writers(server: Server, root: Path, kills: int, per_record: int = 10) -> int:
    "Acknowledged events after so many kills, each at a random moment of a writer's life; a new record after some"
    total, chance, promised = 0, random.Random(), {}
    for number in range(kills):
        if number % per_record == 0:
            folder, promised = root / f"record{number // per_record}", {}
        pid = server.start(folder)
        said = [server.line() for _ in range(chance.choice((0, 1, 1, chance.randrange(12))))]  # however slow the machine is
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        news = acknowledged(said + server.until_ended())
        promised |= news
        total += len(news)
        check_whole(folder, promised)
    return total


def test_nothing_acknowledged_is_lost_in_50_kills(server: Server, tmp_path: Path):
    assert kill_writers(server, tmp_path, 50) > 50


@pytest.mark.soak
def test_nothing_acknowledged_is_lost_in_1000_kills(server: Server, tmp_path: Path):
    promised = kill_writers(server, tmp_path, 1_000)
    assert promised > 1_000
    print(f"{promised} acknowledged events, none lost")


def make_record(folder: Path, state: str) -> dict[int, str]:
    "A record in one of the states a writer can find it in, and the hashes of its acknowledged events"
    if state == "new":
        return {}
    if state == "old":
        with zipfile.ZipFile(Path(__file__).with_name("records") / "schema_1.zip") as record:
            record.extractall(folder)
        return {event.seq: event.hash for event in Ledger(folder).events()}
    ledger = Ledger(folder, actor="ada")
    promised = {event.seq: event.hash for event in [ledger.append("note", {"number": number}) for number in range(3)]}
    write_views(ledger)
    if state == "torn":
        with ledger.path.open("ab") as file:
            file.write(b'{"actor":"ada","da')
    return promised


@pytest.mark.parametrize("state", ["new", "written", "torn", "old"])
@pytest.mark.parametrize("half", [False, True], ids=["before the call", "within the write"])
def test_death_at_each_system_call_leaves_a_whole_record(server: Server, tmp_path: Path, state: str, half: bool):
    deaths = 0
    for call in range(1, 400):
        folder = tmp_path / f"call{call}"
        promised = make_record(folder, state)
        server.start(folder, call=call, half=half)
        if server.until_ended() == ["survived"]:
            break
        deaths += 1
        check_whole(folder, promised)
    assert (1 if half else 15) < deaths < 399, f'{deaths} deaths'


def test_eight_writers_at_once_and_a_reader_beside_them(tmp_path: Path):
    servers = [Server() for _ in range(8)]
    for server in servers:
        server.start(tmp_path, appends=100)
    ledger, seen, ends = Ledger(tmp_path, actor="reader"), 0, time.monotonic() + 120
    while seen < 801 and time.monotonic() < ends:
        events = ledger.events()
        assert len(events) >= seen, "a reader saw the record shrink"
        seen = len(events)
        time.sleep(0.05)
    promised: dict[int, str] = {}
    for server in servers:
        mine = acknowledged(server.until_ended())
        assert len(mine) == 100 and not promised.keys() & mine.keys()
        promised |= mine
        server.process.stdin.close()
        server.process.wait(10)
    assert len(promised) == 800 and check_whole(tmp_path, promised) == 801
    numbers = [(event.data["pid"], event.data["number"]) for event in ledger.events() if "number" in event.data]
    assert len(set(numbers)) == 800 and all([n for p, n in numbers if p == pid] == list(range(100)) for pid, _ in numbers)


def test_verify_beside_a_writer_finds_nothing(server: Server, tmp_path: Path):
    settings = load_settings(home=tmp_path, env={})
    make_record(settings.context_root, "written")
    server.start(settings.context_root, appends=60, views_every=1)
    checks = 0
    while server.line() != "ended":
        assert check_record(settings, gates=False).problems == []
        checks += 1
    assert checks == 60
