"""The disk fails at each system call, and each byte of each state file is flipped or cut off: always a typed error, never a silent loss.

The calls of a writer go through `os`, so a failing disk is played there; a file size limit of the kernel plays a full disk for real.
"""
import errno
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from epochkit.core.files import read_sealed, write_json
from epochkit.record.checkpoints import Checkpoint
from epochkit.core.settings import Settings, check_locks, load_settings
from epochkit.core.errors import CheckpointError, PipelineError, RecordError
from epochkit.record.ledger import Ledger
from epochkit.record.views import VIEWS, differing_views, write_views
from epochkit.lifecycle.state import project_state
from epochkit.lifecycle.verify import check_record

FAILING = ("open", "write", "fsync", "fdatasync", "replace", "rename", "truncate", "ftruncate", "mkdir", "close", "pread", "unlink")


class Call(NamedTuple):
    "One system call: what, on which file"
    name: str
    path: str
    flags: int = 0
    to: str = ""
    data: bytes = b""
    size: int = 0


class Disk:
    "Stands between `os` and the real calls: writes down each one on a file below `root`, and lets some fail"

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path):
        self.root, self.calls, self._paths, self._real = str(root), [], {}, {}
        self.fails: Callable[[int, Call], OSError | None] = lambda number, call: None
        self.half_at, self.on = -1, False
        for name in FAILING:
            if hasattr(os, name):
                self._real[name] = getattr(os, name)
                monkeypatch.setattr(os, name, self._instead_of(name))

    def _instead_of(self, name: str) -> Callable:
        real = self._real[name]

        def call(*arguments: Any, **options: Any) -> Any:
            first = arguments[0]
            path = self._paths.get(first, "") if isinstance(first, int) else os.fspath(first)
            if not self.on or not str(path).startswith(self.root):
                return real(*arguments, **options)
            flags = arguments[1] if name == "open" and len(arguments) > 1 else 0
            made = Call(name, str(path), flags, os.fspath(arguments[1]) if name in ("replace", "rename") else "",
                        bytes(arguments[1]) if name == "write" else b"", arguments[1] if name == "ftruncate" else 0)
            number = len(self.calls)
            self.calls.append(made)
            error = self.fails(number, made)
            if name == "write" and number == self.half_at:
                return real(first, bytes(arguments[1])[:max(1, len(arguments[1]) // 2)])
            if error:
                if name == "close":  # the handle is gone, whatever close says
                    real(*arguments)
                raise error
            result = real(*arguments, **options)
            if name == "open":
                self._paths[result] = str(path)
            return result
        return call

    def watch(self, action: Callable[[], Any]) -> list[Call]:
        "The calls of one action"
        self.calls, self.on = [], True
        try:
            action()
        finally:
            self.on = False
        return self.calls

    def heal(self) -> None:
        "From now on every call works"
        self.fails, self.half_at = (lambda number, call: None), -1


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", env={})


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    "The disk under the home; two views stand for all five"
    for name in sorted(VIEWS)[2:]:
        monkeypatch.delitem(VIEWS, name)
    return Disk(monkeypatch, tmp_path / "home")


def ledger_of(settings: Settings) -> Ledger:
    return Ledger(settings.context_root, clock=lambda: "2026-01-01T00:00:00.000+00:00", actor="ada")


def fill(settings: Settings) -> None:
    "A record of six events with something in each view, and a checkpoint"
    ledger = ledger_of(settings)
    ledger.append("transformation", {"step": "clean", "rows": 3, "inputs": ["a"], "outputs": ["b"]}, epoch=2)
    ledger.append("warning", {"text": "zu wenig Zeilen für Größe L"}, epoch=2)
    ledger.append("resources", {"seconds": 1.5}, epoch=2)
    ledger.append("features", {"features": [{"feature": "age", "sources": ["age"]}]}, epoch=4)
    ledger.append("decision", {"gate": 1, "decision": "approved", "reviewer": "ada", "evidence": []}, epoch=1)
    write_views(ledger)
    Checkpoint(settings, 2, "abc").save(0.6, "chunk 7", rows=[1, 2])


# ---- faults


def to_a_new_record(settings: Settings) -> None:
    "Nothing is there yet"


def torn(settings: Settings) -> None:
    fill(settings)
    with ledger_of(settings).path.open("ab") as file:
        file.write(b'{"actor":"ada","da')


def append(settings: Settings) -> None:
    ledger_of(settings).append("note", {"text": "new"})


def draw(settings: Settings) -> None:
    write_views(ledger_of(settings))


def save(settings: Settings) -> None:
    Checkpoint(settings, 2, "abc").save(0.7, "chunk 8")


OPERATIONS = {
    "first append": (to_a_new_record, append, RecordError), "append": (fill, append, RecordError),
    "append after a torn line": (torn, append, RecordError), "views": (fill, draw, RecordError),
    "checkpoint": (fill, save, CheckpointError), "first checkpoint": (to_a_new_record, save, CheckpointError),
}
NOT_FATAL = ("close", "unlink", "mkdir")  # after a fsync, or when the folder is there: nothing is lost, so no error is needed


def acknowledged(settings: Settings) -> dict[int, str]:
    return {event.seq: event.hash for event in ledger_of(settings).events()}


def check_whole(settings: Settings, promised: dict[int, str], failed: bool, what: str) -> None:
    "The record verifies, holds what was promised and nothing that was refused, and goes on"
    ledger = ledger_of(settings)
    hashes = {event.seq: event.hash for event in ledger.events()}
    assert promised.items() <= hashes.items(), f"acknowledged events are lost: {what}"
    if failed:
        refused = [event for event in ledger.events() if event.kind == "note"]
        assert not refused, f"an append that raised is in the record: {what}"
    ledger.append("after", {"the": "fault"})
    write_views(ledger)
    assert differing_views(ledger) == [] and ledger.events()[-1].kind == "after", what
    checkpoint = Checkpoint(settings, 2, "abc")
    saved = checkpoint.load()
    assert saved is None or saved["next_step"] in ("chunk 7", "chunk 8"), what
    checkpoint.save(0.8, "chunk 9")
    assert checkpoint.load()["next_step"] == "chunk 9", what


def litter(settings: Settings) -> list[str]:
    "Temporary files that a failed call left behind"
    return [path.name for path in settings.context_root.rglob("*.part")]


def calls_of(disk: Disk, settings: Settings, name: str) -> list[Call]:
    "The calls of an operation on a disk that works"
    prepare, operation, _ = OPERATIONS[name]
    prepare(settings)
    check_locks.cache_clear()  # the probe of the locks may fail as well
    calls = disk.watch(lambda: operation(settings))
    shutil.rmtree(settings.home)
    return calls


def fault(disk: Disk, settings: Settings, name: str, number: int, kind: str) -> None:
    "Lets call `number` of an operation fail in one way and checks what is left"
    prepare, operation, expected = OPERATIONS[name]
    shutil.rmtree(settings.home, ignore_errors=True)
    prepare(settings)
    check_locks.cache_clear()
    if name == "append after a torn line":  # reading a torn record gives its whole lines
        assert len(acknowledged(settings)) == 6
    promised = acknowledged(settings) if settings.context_root.exists() else {}
    code = errno.ENOSPC if kind != "EIO" else errno.EIO
    error = OSError(code, os.strerror(code))
    hit: list[Call] = []

    def fails(at: int, call: Call) -> OSError | None:
        if at == number:
            hit.append(call)
        if call.name == "close" and Path(call.path).name.startswith((".lock-probe", "ledger.lock")):
            return None  # the lock is free either way
        broken = at > number and call.name == "write" if kind == "short" else at >= number if kind == "stays broken" else at == number
        return error if broken else None
    disk.fails, disk.half_at = fails, number if kind == "short" else -1
    what, raised = "", False
    try:
        disk.watch(lambda: operation(settings))
    except PipelineError as found:
        raised, what = True, f"{name}, {kind} at call {number} {hit}: {found}"
        assert isinstance(found, expected), f"{type(found).__name__} instead of {expected.__name__}: {what}"
        assert found.exit_code == 4, what
    finally:
        disk.heal()
    what = what or f"{name}, {kind} at call {number} {hit}: no error"
    later_head = hit[0].path == str(settings.context_root) and [call.to for call in disk.calls[:number]].count(
        str(settings.context_root / "ledger.head")) != 1  # a head that is older after a power cut only knows fewer events
    harmless = hit[0].name in NOT_FATAL or later_head and "append" in name
    assert raised or harmless, f"a failing call passed unseen: {what}"
    assert litter(settings) == [] or kind == "stays broken" or hit[0].name == "unlink", f"{litter(settings)} left behind: {what}"
    check_whole(settings, promised, failed=raised and kind != "stays broken", what=what)


@pytest.mark.parametrize("kind", ["ENOSPC", "EIO", "short", "stays broken"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_disk_that_fails_at_any_call_loses_nothing(disk: Disk, settings: Settings, name: str, kind: str):
    calls = calls_of(disk, settings, name)
    assert {"open", "write", "fsync", "replace"} <= {call.name for call in calls}
    assert "checkpoint" in name or any(call.path.endswith("ledger.lock") for call in calls)
    for number, call in enumerate(calls):
        if call.name == "write" or kind != "short":
            fault(disk, settings, name, number, kind)


def test_write_json_that_fails_leaves_the_old_file(disk: Disk, tmp_path: Path):
    path = tmp_path / "home" / "a.json"
    for number in range(50):
        shutil.rmtree(path.parent, ignore_errors=True)
        write_json(path, {"value": "old"})
        hit: list[Call] = []
        disk.fails = lambda at, call, number=number, hit=hit: hit.append(call) or OSError(28, "No space left") if at == number else None
        try:
            disk.watch(lambda: write_json(path, {"value": "new"}))
        except OSError:
            pass
        disk.heal()
        assert json.loads(path.read_text()) in ({"value": "old"}, {"value": "new"})
        assert [file.name for file in path.parent.iterdir()] == ["a.json"] or hit[0].name == "unlink"
        if not hit:
            break
    assert 5 < number < 50


FULL_DISK = '''
import resource, sys
from pathlib import Path
from epochkit.record.ledger import Ledger
from epochkit.core.errors import RecordError

ledger = Ledger(Path(sys.argv[1]), actor="ada")
refused = taken = 0
size = ledger.path.stat().st_size
before = ledger.path.read_bytes()
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
for room in range(0, 400, 3):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
    try:
        ledger.append("note", {"text": "x" * 50})
        taken += 1
        break
    except RecordError as error:
        refused += 1
        assert ledger.path.read_bytes() == before, room
        assert "File too large" in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert len(ledger.events()) == 7
print(refused, taken)
'''


def test_a_file_that_really_cannot_grow_keeps_its_events(settings: Settings):
    fill(settings)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(settings.context_root)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    refused, taken = map(int, done.stdout.split())
    assert refused > 50 and taken == 1  # the kernel wrote 0, 3, 6 ... bytes of the line and then no more


# ---- order


def unsafe(calls: list[Call]) -> list[str]:
    "What a power cut could undo although the action has returned: written but not flushed, renamed or made but the folder not flushed"
    waiting: dict[str, str] = {}
    wrong = []
    for call in calls:
        folder = str(Path(call.to or call.path).parent)
        if call.name in ("write", "ftruncate", "truncate"):
            waiting[call.path] = f"{call.name} of {Path(call.path).name} not flushed"
        elif call.name in ("fsync", "fdatasync"):
            waiting.pop(call.path, None)
        elif call.name == "replace":
            if call.path in waiting:
                wrong.append(f"{Path(call.to).name} replaced by bytes that are not flushed")
            waiting[folder] = f"{Path(call.to).name} renamed, its folder not flushed"
    return wrong + list(waiting.values())


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_has_returned_is_on_the_disk(disk: Disk, settings: Settings, name: str):
    prepare, operation, _ = OPERATIONS[name]
    prepare(settings)
    calls = [call for call in disk.watch(lambda: operation(settings)) if not call.path.endswith(".lock") and "probe" not in call.path]
    left = [what for what in unsafe(calls) if not what.startswith("ledger.head renamed")]  # the head before knows fewer events
    assert left == [] and any(call.name == "fsync" for call in calls)


def test_the_line_is_flushed_before_the_head_speaks_of_it(disk: Disk, settings: Settings):
    fill(settings)
    ledger = ledger_of(settings)
    calls = disk.watch(lambda: append(settings))
    steps = [(call.name, Path(call.path).name) for call in calls if call.name in ("write", "fsync", "replace")]
    written, flushed = steps.index(("write", "ledger.jsonl")), steps.index(("fsync", "ledger.jsonl"))
    head = next(place for place, (name, file) in enumerate(steps) if "ledger.head" in file)
    assert written < flushed < head
    assert len(ledger.path.read_bytes().splitlines()) == 7


def test_a_new_ledger_is_in_its_folder_before_it_is_acknowledged(disk: Disk, settings: Settings):
    calls = disk.watch(lambda: append(settings))
    made = next(place for place, call in enumerate(calls) if call.name == "open" and call.path.endswith("ledger.jsonl"))
    assert any(call.name == "fsync" and call.path == str(settings.context_root) for call in calls[made:])


# ---- power cuts


class Inode:
    "A file's bytes as the disk surely has them, and as the processes see them"

    def __init__(self, content: bytes = b""):
        self.sure = self.seen = content

    def after_a_cut(self) -> list[bytes]:
        "What may be found: the flushed bytes, all, half of the new ones, or zeros in their place"
        if self.sure == self.seen:
            return [self.seen]
        same = len(os.path.commonprefix([self.sure, self.seen]))
        half = same + (len(self.seen) - same) // 2
        return [self.sure, self.seen, self.seen[:half], self.seen[:same] + bytes(len(self.seen) - same)]


Folder = dict[str, Inode]


def images(before: dict[str, bytes], calls: list[Call]) -> Iterator[dict[str, bytes]]:
    "Every folder that a power cut right after these calls may leave: names change in their order, bytes in any"
    seen: Folder = {path: Inode(content) for path, content in before.items()}
    names = [dict(seen)]  # the sure folder, then one for each change of a name that is not flushed yet
    for call in calls:
        if call.name == "open" and call.flags & os.O_CREAT and call.path not in seen:
            seen[call.path] = Inode()
            names.append(dict(seen))
        elif call.name == "write":
            seen[call.path].seen += call.data  # every writer of the kit appends, or fills a new file
        elif call.name == "ftruncate":
            seen[call.path].seen = seen[call.path].seen[:call.size]
        elif call.name == "replace":
            seen[call.to] = seen.pop(call.path)
            names.append(dict(seen))
        elif call.name == "unlink":
            seen.pop(call.path, None)
            names.append(dict(seen))
        elif call.name == "fsync" and call.path in seen:
            seen[call.path].sure = seen[call.path].seen
        elif call.name == "fsync":
            names = [dict(seen)]
    for folder in names:
        for contents in itertools.product(*(inode.after_a_cut() for inode in folder.values())):
            yield dict(zip(folder, contents, strict=True))


def old(settings: Settings) -> None:
    "A record of schema 1"
    with zipfile.ZipFile(Path(__file__).with_name("records") / "schema_1.zip") as record:
        record.extractall(settings.context_root)


@pytest.mark.parametrize("prepare", [to_a_new_record, fill, torn, old], ids=["new", "written", "torn", "old"])
def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(disk: Disk, settings: Settings, prepare: Callable[[Settings], None]):
    prepare(settings)
    root = settings.context_root
    before = {str(path): path.read_bytes() for path in root.glob("*") if path.is_file()} if root.exists() else {}
    promised = acknowledged(settings)
    calls = [call for call in disk.watch(lambda: append(settings))
             if call.name in ("open", "write", "fsync", "replace", "ftruncate", "unlink") and "lock" not in Path(call.path).name]
    last = ledger_of(settings).events()[-1]
    assert last.kind == "note"
    cuts = set()
    for number in range(len(calls) + 1):
        done = number == len(calls)
        for image in images(before, calls[:number]):
            frozen = (done, tuple(sorted(image.items())))
            if frozen in cuts:
                continue
            cuts.add(frozen)
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            for path, content in image.items():
                Path(path).write_bytes(content)
            what = f"after {number} of {len(calls)} calls {calls[:number][-1:]}: { {Path(p).name: len(c) for p, c in image.items()} }"
            try:
                now = acknowledged(settings)
                append(settings)
                write_views(ledger_of(settings))
            except RecordError as error:
                raise AssertionError(f"{what}: {error}") from error
            assert promised.items() <= now.items() and (not done or now.get(last.seq) == last.hash), what
            assert differing_views(ledger_of(settings)) == [], what
    assert len(cuts) > 10
    print(f"{len(cuts)} power cuts")


# ---- damage


def damaged(content: bytes, step: int) -> Iterator[tuple[str, int, bytes]]:
    "Every step-th byte, from a place that moves: flipped in four ways (a line end also to a blank), taken out, and the content cut off there"
    for place in range(random.randrange(step), len(content), step):
        byte = content[place]
        for other in {byte ^ 1, byte ^ 0x20, byte ^ 0x80, 32 if byte == 10 else byte ^ 2}:
            yield "flipped", place, content[:place] + bytes([other]) + content[place + 1:]
        yield "cut", place, content[:place]
        yield "taken out", place, content[:place] + content[place + 1:]


def each(step: int) -> Any:
    "Every step-th byte in the normal run, every byte with the marker soak"
    return pytest.mark.parametrize("step", [pytest.param(step, id=f"1 in {step}"), pytest.param(1, id="all", marks=pytest.mark.soak)])


def found_in(settings: Settings) -> str:
    "How damage to the ledger or its head is reported; empty when it is not"
    try:
        ledger_of(settings).events()
    except RecordError as error:
        return str(error)
    return ""


@each(7)
def test_every_damaged_byte_of_the_ledger_is_found_with_its_line(settings: Settings, step: int):
    fill(settings)
    path, count = ledger_of(settings).path, 0
    whole = path.read_bytes()
    for kind, place, content in damaged(whole, step):
        path.write_bytes(content)
        message = found_in(settings)
        line, count = whole[:place].count(b"\n") + 1, count + 1
        assert message, f"byte {place} {kind}: nothing was found"
        named = {line, line - 1} if kind == "cut" else {line, line + 1}
        assert any(f"line {number} " in message or f"line {number}," in message for number in named), f"{place} {kind}: {message}"
        with pytest.raises(RecordError):
            ledger_of(settings).events("decision")
    print(f"{count} damages of {len(whole)} bytes")


def test_every_damaged_byte_of_the_head_is_found(settings: Settings):
    fill(settings)
    path = settings.context_root / "ledger.head"
    for kind, place, content in damaged(path.read_bytes(), 1):
        path.write_bytes(content)
        assert found_in(settings), f"byte {place} {kind}: nothing was found"
        with pytest.raises(RecordError):
            append(settings)


@each(7)
@pytest.mark.parametrize("name", sorted(VIEWS))
def test_every_damaged_byte_of_a_view_is_found_and_can_be_mended(settings: Settings, name: str, step: int):
    fill(settings)
    ledger, path = ledger_of(settings), settings.context_root / name
    whole = path.read_bytes()
    events = ledger.events()
    for kind, place, content in damaged(whole, step):
        path.write_bytes(content)
        assert differing_views(ledger, events) == [name], f"byte {place} {kind}: not reported"
    assert [(problem.kind, problem.exit_code) for problem in check_record(settings, gates=False).problems] == [("view", 4)]
    assert check_record(settings, rebuild=True, gates=False).problems == [] and path.read_bytes() == whole


@each(7)
def test_every_damaged_byte_of_a_checkpoint_is_found(settings: Settings, step: int):
    fill(settings)
    path = Checkpoint(settings, 2).path
    for kind, place, content in damaged(path.read_bytes(), step):
        path.write_bytes(content)
        for plan in ("abc", "another plan"):
            with pytest.raises(CheckpointError) as found:
                Checkpoint(settings, 2, plan).load()
            assert found.value.exit_code == 4 and path.name in str(found.value)
        with pytest.raises(RecordError):
            read_sealed(path)


def lines_of(settings: Settings) -> list[bytes]:
    return ledger_of(settings).path.read_bytes().splitlines(keepends=True)


DAMAGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a line removed": lambda lines: lines[:2] + lines[3:],
    "the first line removed": lambda lines: lines[1:],
    "two lines swapped": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a line twice": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "the last line removed": lambda lines: lines[:-1],
    "all lines removed": lambda lines: [],
    "an empty line within": lambda lines: [*lines[:3], b"\n", *lines[3:]],
    "windows line ends": lambda lines: [line[:-1] + b"\r\n" for line in lines],
    "a byte order mark": lambda lines: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    "a blank more in a line": lambda lines: [lines[0], lines[1].replace(b'"data":', b'"data": '), *lines[2:]],
    "keys in another order": lambda lines: [lines[0], json.dumps(dict(reversed(json.loads(lines[1]).items())),
                                            separators=(",", ":")).encode() + b"\n", *lines[2:]],
    "a key twice": lambda lines: [lines[0], lines[1].replace(b'{"actor"', b'{"actor":"eve","actor"'), *lines[2:]],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_never_read_nor_mended_in_passing(settings: Settings, damage: str):
    fill(settings)
    path = ledger_of(settings).path
    path.write_bytes(b"".join(DAMAGES[damage](lines_of(settings))))
    after = path.read_bytes()
    report = check_record(settings, gates=False)
    assert report.exit_code == 4 and report.events == 0 and report.problems
    for action in (write_views, lambda ledger: project_state(settings), Ledger.record_id):
        with pytest.raises(RecordError):
            action(ledger_of(settings))
    assert path.read_bytes() == after
    with suppress(RecordError):  # append reads from the last acknowledged line on, so it may not see older damage
        append(settings)
    assert found_in(settings), "an append has covered up the damage"


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "--rebuild"], ["status"], ["run", "next"], ["run", "all", "--unattended", "test"]],
                         ids=" ".join)
def test_each_command_ends_with_4_at_a_damaged_record(settings: Settings, arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    from epochkit.cli import main
    fill(settings)
    path = ledger_of(settings).path
    path.write_bytes(path.read_bytes().replace("Größe L".encode(), "Größe M".encode()))
    after = {file: file.read_bytes() for file in settings.context_root.glob("*.json*")}
    monkeypatch.setenv("EPOCH_HOME", str(settings.home))
    assert main(arguments) == 4
    assert after == {file: file.read_bytes() for file in settings.context_root.glob("*.json*")}


def forge(settings: Settings, events: int) -> bytes:
    "A whole ledger with a chain that fits, made by somebody else"
    forged = Ledger(settings.home / "forged", actor="eve")
    for number in range(events):
        forged.append("note", {"number": number, "text": "x" * 200})
    return forged.path.read_bytes()


@pytest.mark.parametrize("events", [3, 5, 6, 12])
def test_another_ledger_in_its_place_is_found_and_not_continued(settings: Settings, events: int):
    fill(settings)
    ledger_of(settings).path.write_bytes(forge(settings, events))
    for _ in range(2):
        with pytest.raises(RecordError):
            append(settings)
        with pytest.raises(RecordError):
            ledger_of(settings).events()


@pytest.mark.parametrize("kept", [6, 5, 2, 1, 0])
def test_a_lost_head_is_found_and_not_made_anew(settings: Settings, kept: int):
    fill(settings)
    (settings.context_root / "ledger.head").unlink()
    ledger_of(settings).path.write_bytes(b"".join(lines_of(settings)[:kept]))
    for _ in range(2):
        with pytest.raises(RecordError):
            append(settings)
        with pytest.raises(RecordError):
            ledger_of(settings).events()


@pytest.mark.parametrize("name", ["ledger.jsonl", "ledger.head"])
@pytest.mark.parametrize("other", ["a folder", "a link to nowhere", "noise", "nothing"])
def test_something_else_in_the_place_of_a_file_is_an_error(settings: Settings, name: str, other: str):
    fill(settings)
    path = settings.context_root / name
    path.unlink()
    if other == "a folder":
        path.mkdir()
    elif other == "a link to nowhere":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(bytes(range(256)) if other == "noise" else b"")
    with pytest.raises(RecordError):
        ledger_of(settings).events()
    with pytest.raises(RecordError):
        append(settings)
    assert check_record(settings, gates=False).exit_code == 4


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read every file")
@pytest.mark.parametrize("name", ["ledger.jsonl", "ledger.head", "approval_log.json", "."])
def test_a_file_that_may_not_be_read_is_an_error(settings: Settings, name: str):
    fill(settings)
    path = settings.context_root / name
    path.chmod(0)
    try:
        assert check_record(settings, gates=False).exit_code == 4
    finally:
        path.chmod(0o700)


def test_a_file_where_the_record_should_be_is_no_empty_record(settings: Settings):
    settings.home.mkdir()
    settings.context_root.write_text("not a folder")
    with pytest.raises(RecordError):
        ledger_of(settings).events()


def test_text_that_is_no_utf_8_is_recorded_or_refused_by_name(settings: Settings):
    fill(settings)
    try:
        ledger_of(settings).append("note", {"file": os.fsdecode(b"caf\xe9.csv")})
    except PipelineError as error:
        assert "caf" in str(error)
    assert len(ledger_of(settings).events()) in (6, 7)


def test_a_record_of_a_newer_kit_is_refused(settings: Settings):
    from epochkit.record import ledger as module
    known, module.SCHEMA_VERSION = module.SCHEMA_VERSION, 99
    try:
        fill(settings)
    finally:
        module.SCHEMA_VERSION = known
    with pytest.raises(RecordError, match="newer version"):
        ledger_of(settings).events()
    with pytest.raises(RecordError, match="newer version"):
        append(settings)
