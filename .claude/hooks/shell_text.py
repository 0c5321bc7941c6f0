# given by the kit (epochkit.project.shell_text) and kept up to date by epoch upgrade
"""A command line as bash reads it: its simple commands, one after the other, with their words as far as they are known."""

__all__ = ['UNKNOWN', 'quoted', 'as_given', 'paths_of', 'SimpleCommand', 'ShellReader', 'read_inside', 'file_text',
           'read_commands']

import glob
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

UNKNOWN = "\0"  # what nobody knows before the shell runs
_APART = {sign: chr(0xE000 + number) for number, sign in enumerate("*?[]{},~")}
_TOGETHER = {ord(apart): sign for sign, apart in _APART.items()}


def quoted(text: str) -> str:
    "The text with its signs kept apart, as between quotes"
    return "".join(_APART.get(sign, sign) for sign in text)


def as_given(word: str) -> str:
    "A word as a program gets it"
    return word.translate(_TOGETHER)

def _braces(word: str) -> Iterator[str]:
    "`a{b,c}` as two words"
    found = re.search(r"\{([^{}]*,[^{}]*)\}", word)
    if not found:
        yield word
        return
    for part in found[1].split(","):
        yield from _braces(word[:found.start()] + part + word[found.end():])

_HIDDEN_NAMES = (".context", ".claude", ".git", ".env", ".ssh")


def paths_of(word: str, folder: Path) -> Iterator[Path]:
    "The paths that a word may stand for in `folder`"
    texts = [word, *(word.partition(sign)[2] for sign in "=@:" if sign in word)]
    texts += [word[2:]] if word[:1] == "-" else []
    for text in (one for text in texts if 0 < len(text) < 1_000 and "\n" not in text for one in _braces(text)):
        text = os.path.expanduser(text) if text[0] == "~" else text
        if glob.has_magic(text):
            yield from (folder / found for found in glob.glob(text, root_dir=folder))
            text = "/".join(_meant(part) for part in text.split("/"))
        yield folder / as_given(text).replace(UNKNOWN, "_")


def _meant(part: str) -> str:
    "The hidden name that a pattern of one path's part may mean, or the part"
    from fnmatch import fnmatch
    return next((name for name in _HIDDEN_NAMES if part[:1] == "." and fnmatch(name, part)), part)

class SimpleCommand(NamedTuple):
    "One simple command: its words, the files that redirections write and read, and what is fed to it"
    words: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    fed: str = ""


@dataclass
class ShellReader:
    "Where the reading stands: project, folder, variables with the values that they may have, files written on the way"
    root: Path
    folder: Path
    judge: Callable[["ShellReader", SimpleCommand], str]
    variables: dict[str, list[str]] = field(default_factory=dict)
    files: dict[Path, str] = field(default_factory=dict)
    depth: int = 0

def read_inside(reader: ShellReader, text: str) -> str:
    "Reads a text that a command runs; what it prints, as far as that is known. ValueError more than eight deep"
    if reader.depth > 8:
        raise ValueError("commands inside commands, more than eight deep")
    inside = replace(reader, variables=dict(reader.variables), depth=reader.depth + 1)
    return read_commands(inside, text)


def _values(reader: ShellReader, name: str) -> list[str]:
    "What a variable may hold; of the environment only what says where things are"
    known = {"PWD": str(reader.folder), "CLAUDE_PROJECT_DIR": str(reader.root)}
    known |= {key: os.environ[key] for key in ("HOME", "TMPDIR", "EPOCH_HOME", "EPOCH_PROJECT") if key in os.environ}
    return reader.variables.get(name) or [known.get(name, UNKNOWN)]

def _closing(text: str, place: int, ends: str) -> int:
    "Where the bracket or quote that opened before `place` closes; ValueError where it does not"
    opens, depth = {")": "(", "}": "{"}.get(ends), 1
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 1
        elif sign in "'\"" and opens:
            place = text.index("'", place + 1) if sign == "'" else _closing(text, place + 1, '"')
        elif sign in (opens, ends):
            depth += 1 if sign == opens else -1
            if not depth:
                return place
        place += 1
    raise ValueError(f"nothing closes with {ends}")

def _expansion(reader: ShellReader, text: str, place: int, whole: bool) -> tuple[list[str], int]:
    "What stands for `$x`, `${x:-y}`, `$(command)` and their like, and where it ends; `whole`: not split at spaces"
    if text.startswith("$((", place):
        return [UNKNOWN], _closing(text, place + 2, ")") + 1
    if text[place:place + 2] in ("$(", "<(", ">("):
        end = _closing(text, place + 2, ")")
        found = [read_inside(reader, text[place + 2:end])]
        if text[place] != "$":
            return [quoted(UNKNOWN + found[0])], end + 1  # the name of a file with that text
    elif text[place] == "`":
        end = _closing(text, place + 1, "`")
        found = [read_inside(reader, text[place + 1:end])]
    elif text.startswith("${", place):
        end = _closing(text, place + 2, "}")
        named = re.match(r"(\w+)(?::?[-=](.*))?$", text[place + 2:end], re.DOTALL)
        found = _values(reader, named[1]) if named else [UNKNOWN]
        found = [named[2]] if named and named[2] and found == [UNKNOWN] else found
    else:
        named = re.compile(r"\w+|[@*#?$!-]").match(text, place + 1)
        end = named.end() - 1 if named else place
        found = _values(reader, named[0]) if named else ["$"]
    return (found if whole else [as_given(part) for one in found for part in one.split()] or [""]), end + 1

def _double_quoted(reader: ShellReader, text: str, place: int) -> tuple[list[str], int]:
    "What stands between double quotes that opened before `place`, and where they end"
    found = [""]
    while text[place:place + 1] != '"':
        if place >= len(text):
            raise ValueError("a quote is not closed")
        more, end = [quoted(text[place])], place + 1
        if text[place] == "\\" and text[place + 1:place + 2] in {*'"\\$`\n'}:
            more, end = [text[place + 1].strip("\n")], place + 2
        elif text[place] in "$`":
            more, end = _expansion(reader, text, place, whole=True)
        found, place = [one + other for one in found for other in more][:99], end
    return found, place + 1

_OPERATOR = re.compile(r"&&|\|\||;;|\|&|&>>|&>|<<<|<<-|<<|<&|>&|>>|>\||<>|[<>;|&()\n]")
_ASSIGNED = re.compile(r"(\w+)\+?=")


def _operator(text: str, place: int) -> str:
    "The operator at `place`; '' for none, and for the start of `<(…)`"
    found = _OPERATOR.match(text, place)
    return found[0] if found and text[place:place + 2] not in ("<(", ">(") else ""


def _word(reader: ShellReader, text: str, place: int) -> tuple[list[str], int]:
    "The words that stand for one word of the text, and where it ends"
    found, whole = [""], bool(_ASSIGNED.match(text, place))
    while place < len(text) and text[place] not in " \t\r" and not _operator(text, place):
        sign, ansi = text[place], text.startswith("$'", place)
        if sign == "\\":
            more, place = [quoted(text[place + 1:place + 2].strip("\n"))], place + 2
        elif sign == "'" or ansi:
            opened = place + 1 + ansi
            end = _closing(text, opened, "'") if ansi else text.index("'", opened)
            inside = text[opened:end].encode().decode("unicode_escape") if ansi else text[opened:end]
            more, place = [quoted(inside)], end + 1
        elif sign == '"' or text.startswith('$"', place):
            more, place = _double_quoted(reader, text, place + (1 if sign == '"' else 2))
        elif sign in "$`<>":
            more, place = _expansion(reader, text, place, whole)
        else:
            more, place = [sign], place + 1
        found = [one + other for one in found for other in more][:99]
    return found, place

def _with(reader: ShellReader, command: SimpleCommand, redirection: str, words: list[str]) -> SimpleCommand:
    "The command with more words, or with a file that it writes or is fed from"
    first = as_given(words[0])
    if not redirection:
        return command._replace(words=(*command.words, *words))
    if redirection == "<<<":
        return command._replace(fed=first)
    if redirection in ("<", "<&"):
        fed = first[1:] if first[:1] == UNKNOWN else file_text(reader.folder / first)
        return command._replace(taken=(*command.taken, *words), fed=fed)
    if redirection == ">&" and re.fullmatch(r"\d+|-", first):
        return command
    return command._replace(written=(*command.written, *words))


def file_text(path: Path) -> str:
    "The text of a file that a command reads or runs; '' for none, and for one that is too large for a script"
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < 300_000 else ""
    except (OSError, ValueError):
        return ""

def _here_document(text: str, place: int, word: str, tabs: str) -> tuple[str, str]:
    "What stands between the next line and `word`, and the text without it"
    start = text.find("\n", place) + 1 or len(text)
    ends = re.compile(rf"^{tabs}{re.escape(word)}$", re.MULTILINE).search(text, start)
    stop, after = ends.span() if ends else (len(text), len(text))
    return text[start:stop], text[:start] + text[after:]

def read_commands(reader: ShellReader, text: str) -> str:
    "Has each simple command of a text judged; what the last one prints, as far as that is known. ValueError: no bash"
    command, place, said, redirection, folders = SimpleCommand(), 0, "", "", []
    while place < len(text):
        operator = _operator(text, place)
        if text[place] in " \t\r":
            place += 1
        elif text[place] == "#":
            place = (text + "\n").index("\n", place)
        elif descriptor := re.compile(r"\d+(?=[<>])").match(text, place):
            place = descriptor.end()
        elif {"<", ">"} & {*operator}:
            redirection, place = operator, place + len(operator)
        elif operator:
            said = reader.judge(reader, command)
            folders += [reader.folder] * (operator == "(")
            reader.folder = folders.pop() if operator == ")" and folders else reader.folder
            command, place = SimpleCommand(fed=said if operator in ("|", "|&") else ""), place + len(operator)
        else:
            words, place = _word(reader, text, place)
            if redirection in ("<<", "<<-"):
                fed, text = _here_document(text, place, as_given(words[0]), r"\t*" if redirection == "<<-" else "")
                command = command._replace(fed=fed)
            else:
                command = _with(reader, command, redirection, words)
            redirection = ""
    return reader.judge(reader, command) or said
