# given by the kit (epochkit.project.guard) and kept up to date by epoch upgrade
"""What an agent is about to do is held against what it may do, before it is done; a refusal is one line and exit code 2."""

__all__ = ['judge_command', 'tool_refusal', 'main']

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from protected import (DECIDES, DECISION_TEXT, MARKS, PROTECTED_TEXT, AgentRefused, protected_inside,
                                        protected_place, refuse_decisions, refuse_python, refuse_unmarked)
from shell_text import (UNKNOWN, ShellReader, SimpleCommand, as_given, file_text, paths_of, quoted,
                                         read_commands, read_inside)

def _may_write(reader: ShellReader, words: Sequence[str], whole: bool = False) -> None:
    "AgentRefused when a word names a protected place; `whole`: or a folder that holds one"
    for path in (path for word in words for path in paths_of(word, reader.folder)):
        if place := protected_place(path, reader.root) or (protected_inside(path, reader.root) if whole else None):
            raise AgentRefused(place.line)


def _may_read(reader: ShellReader, words: Sequence[str], program: str = "") -> None:
    "AgentRefused when a word names a secret, unless the program only tells that the file is there"
    for path in (path for word in words for path in paths_of(word, reader.folder)):
        place = protected_place(path, reader.root)
        if place and place.kind == "key" and program not in ("ls", "stat", "test", "["):
            raise AgentRefused(place.line)

def _files(words: Sequence[str]) -> list[str]:
    "The words that are no options"
    return [word for word in words if word[:1] != "-"]


def _values_of(words: Sequence[str], *options: str) -> list[str]:
    "What is given to an option, behind it or with `=`"
    behind = [after for one, after in itertools.pairwise(words) if one in options]
    return behind + [word.partition("=")[2] for word in words if "=" in word and word.partition("=")[0] in options]

_READERS = {*"""
    cat head tail less more bat nl tac rev od hexdump strings wc ls stat file du df test [ [[ grep egrep fgrep rg
    ag zgrep jq diff cmp comm sha256sum sha1sum md5sum cksum cut tr column paste join cd pushd popd echo printf
    true false realpath readlink dirname basename gh epoch pytest json.tool nbdiff nbdime mypy pyright pylint
    flake8 export declare local unset read type which sleep date seq make nbdev_export pre-commit detect-secrets
    coverage
""".split()}


def _copies(reader: ShellReader, given: list[str]) -> list[str]:
    "cp and its like write the last file, or the one that is called the target; into a folder by the sources' names"
    sources = _files(given)
    target = (_values_of(given, "-t", "--target-directory") or sources[-1:] or [""])[0]
    names = []
    for word, path in ((word, path) for word in sources for path in paths_of(word, reader.folder)):
        inside = word.endswith(("/", "/.")) and path.is_dir()
        names += os.listdir(path) if inside else [path.name]
    _may_write(reader, [target], whole="--delete" in given)
    return [target, *(f"{target}/{name}" for name in names if name)]


def _moves(reader: ShellReader, given: list[str]) -> list[str]:
    "mv takes its sources away as a whole"
    _may_write(reader, _files(given)[:-1], whole=True)
    return _copies(reader, given)


def _removes(reader: ShellReader, given: list[str]) -> list[str]:
    "rm, chmod and their like take a folder as a whole"
    _may_write(reader, _files(given), whole=True)
    return given

def _edits(reader: ShellReader, given: list[str]) -> list[str]:
    "sed, awk, perl and ruby write in place, or where their program says"
    for text in map(as_given, given):
        acts = re.search(r"(^|[;{}\s/])[wW]\s|>|\||(?i:\b(system|unlink|open|rename|write))", text)
        if acts and PROTECTED_TEXT.search(text):
            raise AgentRefused("a program that names the record or your fences and writes or starts something is not "
                               "run")
    return given if any(re.match(r"-[a-zA-Z]*i|--in-place|inplace", word) for word in given) else []


def _finds(reader: ShellReader, given: list[str]) -> list[str]:
    "find writes where it deletes, starts something or prints into a file"
    starts = [*itertools.takewhile(lambda word: word[:1] not in ("-", "(", "!"), given)] or ["."]
    for place in (place for place, word in enumerate(given) if word in ("-exec", "-execdir", "-ok", "-okdir")):
        command = [*itertools.takewhile(lambda word: as_given(word) not in (";", "+"), given[place + 1:])]
        for start in starts:
            words = tuple(start if as_given(word) == "{}" else word for word in command)
            judge_command(reader, SimpleCommand(words))
    if "-delete" in given:
        names = [as_given(name) for name in _values_of(given, "-name", "-iname")]
        found = [path for start in starts for one in paths_of(start, reader.folder) for path in (one, *one.rglob("*"))]
        hit = [path for path in found if not names or any(fnmatch(path.name, name) for name in names)]
        _may_write(reader, [quoted(str(path)) for path in hit])
    return _values_of(given, "-fprint", "-fprintf", "-fls", "-fprint0")

def _writes_all(reader: ShellReader, given: list[str]) -> list[str]:
    return given


def _sorts(reader: ShellReader, given: list[str]) -> list[str]:
    return _values_of(given, "-o", "--output")


def _packs(reader: ShellReader, given: list[str]) -> list[str]:
    "tar reads what it packs; where it unpacks, all may be written"
    packs = any(re.match(r"-?[a-zA-Z]*c|--create", word) for word in given[:1])
    return [*_values_of(given, "-f", "--file"), *given[1:2]] if packs else given


def _formats(reader: ShellReader, given: list[str]) -> list[str]:
    "A formatter writes every module of a folder; it only reads where it is told to check"
    fixes = [word for word in given if "fix" in word]
    if {"--check", "--check-only", "--diff", "-d"} & {*given} or given[:1] == ["check"] and not fixes:
        return []
    targets = [word for word in _files(given) if word not in ("check", "format")]
    named = [path for word in targets for path in paths_of(word, reader.folder) if path.is_dir()]
    for folder, folders, files in itertools.chain.from_iterable(map(os.walk, named if targets else [reader.folder])):
        folders[:] = [name for name in folders if name != ".venv"]
        _may_write(reader, [quoted(os.path.join(folder, name)) for name in files if name.endswith(".py")])
    return given


def _cleans(reader: ShellReader, given: list[str]) -> list[str]:
    "nbdev's own tools write every notebook, or notebooks from what was exported"
    raise AgentRefused("nbdev_clean and nbdev_update change notebooks behind your back (tags and counts go, what was "
                       "exported comes back): edit the notebook, then run nbdev_export")


def _types(reader: ShellReader, given: list[str]) -> list[str]:
    "tmux, expect and their like type a text into a terminal"
    text = " ".join(map(as_given, given))
    if DECISION_TEXT.search(text):
        raise AgentRefused(DECIDES.format("a text that is typed into a terminal and"))
    if PROTECTED_TEXT.search(text):
        raise AgentRefused("a text that names the record or your fences is not handed to another program")
    return given


def _starts(reader: ShellReader, given: list[str]) -> list[str]:
    "eval, su, script, trap, watch and alias run a text"
    whole = [" ".join(given), *given, *(word.partition("=")[2] for word in given)]
    for text in _values_of(given, "-c", "-qc", "-ec") or whole:
        read_inside(reader, as_given(text))
    return given


def _signs(reader: ShellReader, given: list[str]) -> list[str]:
    if "sign" in given:
        raise AgentRefused("a signature stands for a person: only that person signs")
    return given

def _gits(reader: ShellReader, given: list[str]) -> list[str]:
    "What a git command writes; AgentRefused for what takes record, anchors or fences away"
    while given and given[0][:1] == "-":
        value = as_given(given[1]) if len(given) > 1 else ""
        if given[0] == "-c" and "=!" in value:
            read_inside(reader, value.partition("=!")[2])
        if given[0] == "-C":
            reader = replace(reader, folder=reader.folder / value)
        given = given[2 if given[0] in ("-C", "-c", "--git-dir", "--work-tree") else 1:]
    action, given = (as_given(given[0]), given[1:]) if given else ("", [])
    options, named = [word for word in given if word[:1] == "-"], _files(given)
    short = "".join(word[1:] for word in options if word[1:2] != "-")
    if action == "clean" and re.search("[xX]", short) and "n" not in short and "--dry-run" not in options:
        raise AgentRefused("'git clean' with -x or -X removes the record, data and keys: name the files that should go")
    if action == "stash" and ("a" in short or "--all" in options):
        raise AgentRefused("'git stash --all' takes the record away: leave --all out")
    if action == "config":
        _configures(reader, [as_given(word) for word in named])
    if "epoch-ledger" in " ".join(given):
        _anchors(action, options, named, short)
    return _restores(reader, action, options, named, short)

def _configures(reader: ShellReader, named: list[str]) -> None:
    "AgentRefused where git would be told another key, other hooks, or a command under another name that is refused"
    named = named[1:] if named[:1] == ["set"] else named
    if len(named) < 2 or named[0] in ("get", "list"):
        return
    if named[0].casefold().startswith("alias."):
        read_inside(reader, named[1][1:] if named[1][:1] == "!" else f"git {named[1]}")
    if re.match(r"core\.hookspath|user\.signingkey|gpg\.|filter\.", named[0].casefold()):
        raise AgentRefused(f"git's {named[0]} names a key or a fence: a person sets it")


def _anchors(action: str, options: list[str], named: list[str], short: str) -> None:
    "AgentRefused where the notes that anchor the record would be changed; they may be read and pushed"
    reads = action in ("log", "show", "fetch", "ls-remote", "for-each-ref")
    reads = reads or action == "notes" and named[:1] in (["show"], ["list"])
    forced = {"--delete", "--force", "--mirror"} & {*options} or re.search("[df]", short)
    sends = action == "push" and not forced and not any(re.match(r"[+:]", word) for word in named)
    if not reads and not sends:
        raise AgentRefused("the notes epoch-ledger are the anchors of the record: only the library writes them")


def _restores(reader: ShellReader, action: str, options: list[str], named: list[str], short: str) -> list[str]:
    "The files that git brings from elsewhere, moves or removes"
    if action not in ("checkout", "restore", "rm", "mv"):
        return []
    staged, worktree = "S" in short or "--staged" in options, "W" in short or "--worktree" in options
    if action == "restore" and staged and not worktree:
        return []
    other = "s" in short or any(word.startswith("--source") for word in options)
    whole = action == "checkout" and len(named) > 1 or action == "restore" and other or action == "mv"
    whole = whole or action == "rm" and "--cached" not in options
    _may_write(reader, named[action == "checkout" and len(named) > 1:], whole)
    return named

_WRITTEN: dict[str, Callable[[ShellReader, list[str]], list[str]]] = {
    **dict.fromkeys(("rm", "rmdir", "shred", "unlink", "chmod", "chown"), _removes), "mv": _moves, "git": _gits,
    **dict.fromkeys(("cp", "install", "rsync", "scp"), _copies), "find": _finds, "tar": _packs, "ssh-keygen": _signs,
    **dict.fromkeys(("sed", "awk", "gawk", "mawk", "perl", "ruby"), _edits), "sort": _sorts, "tree": _sorts,
    "tee": _writes_all,
    **dict.fromkeys("ruff black isort autoflake autopep8 yapf pyupgrade docformatter".split(), _formats),
    **dict.fromkeys(("nbdev_clean", "nbdev-clean", "nbdev_update", "nbdev-update"), _cleans),
    **dict.fromkeys("tmux screen expect socat node php lua unbuffer ssh docker podman at batch crontab".split(),
                    _types),
    **dict.fromkeys(("eval", "su", "script", "trap", "watch", "parallel", "alias"), _starts)}
_SHELLS = {"bash", "sh", "zsh", "dash", "ksh", ".", "source"}
_KEYWORDS = {*"if then elif else fi while until do done esac ! { } function coproc".split()}
# a command that starts the one behind it, and its options that take a value
_AROUND = {"sudo": "ugpCh", "doas": "u", "env": "uC", "nohup": "", "nice": "n", "ionice": "cnp", "timeout": "sk",
           "exec": "a", "uvx": "", "stdbuf": "ioe", "setsid": "", "command": "", "builtin": "", "time": "fo",
           "xargs": "IdELnPsa"}
_RUNNERS = {"uv", "poetry", "pipx", "hatch", "pixi", "conda"}  # the same with `run`

def _name(word: str) -> str:
    return Path(as_given(word)).name


def _refuse_marks(words: Sequence[str]) -> None:
    "AgentRefused where a word sets or takes away a variable that marks an agent; to say that it is one is fine"
    others = [word for word in words if word != "EPOCH_ACTOR_KIND=agent"]
    refuse_unmarked(re.split("=", re.sub("^--unset=|^-u", "", word))[0] for word in others)


def _env(reader: ShellReader, words: list[str]) -> None:
    "Judges an option of env: the marks that it would take away, the folder, a command in one text"
    option, _, value = words[0].partition("=")
    _refuse_marks([*MARKS] if option in ("-i", "-", "--ignore-environment") else words[:2])
    if option in ("-C", "--chdir"):
        reader.folder /= value or words[1]
    if option.startswith(("-S", "--split-string")):
        read_inside(reader, " ".join([value or option[2:], *words[1:]]))


def _inner(reader: ShellReader, words: list[str], fed: str) -> list[str]:
    "The command that `sudo`, `env`, `timeout`, `xargs` and their like start"
    while words and ((name := _name(words[0])) in _AROUND or name in _RUNNERS and words[1:2] == ["run"]):
        more, taking = fed.split() if name == "xargs" else [], _AROUND.get(name, "pn")
        words = words[2 if name in _RUNNERS else 1:]
        while words and re.match(r"-|\w+=|[\d.]+[smhd]?$", words[0]):
            if name == "env":
                _env(reader, [as_given(word) for word in words])
            words = words[2 if re.fullmatch(rf"-[{taking or '-'}]", words[0]) else 1:]
        words = [word.replace(quoted("{}"), "{}") for word in words]
        words = [word.replace("{}", " ".join(more) or "{}") for word in words] + more
    return words

def judge_command(reader: ShellReader, command: SimpleCommand) -> str:
    "AgentRefused for a command that an agent may not run; else what it prints, as far as that is known"
    _may_write(reader, command.written)
    _may_read(reader, command.taken)
    words = [*itertools.dropwhile(lambda word: word in _KEYWORDS, command.words)]
    if words[:1] in (["for"], ["select"]):
        reader.variables[as_given(words[1])] = words[3:] or [UNKNOWN]
        return ""
    while words and (set_ := re.match(r"(\w+)\+?=", words[0])):
        _refuse_marks([as_given(words[0])])
        reader.variables[set_[1]] = [words[0][set_.end():]]
        words = words[1:]
    inside = replace(reader)  # env may start it in another folder
    if not (words := _inner(inside, words, command.fed)):
        return ""
    _judge_program(inside, _name(words[0]), words, command.fed)
    said = _printed(reader, words, command.fed)
    reader.files |= {reader.folder / as_given(word): said for word in command.written}
    return said

def _judge_program(reader: ShellReader, name: str, words: list[str], fed: str) -> None:
    given = words[1:]
    if re.fullmatch(r"python[\d.]*|pypy3?|ipython3?", name):
        return _judge_python(reader, given, fed)
    if name in _SHELLS:
        return _judge_shell(reader, given, fed)
    if "/" in words[0] and not {".venv", "bin", "sbin"} & {*Path(as_given(words[0])).parts}:
        _judge_script(reader, words[0])
    refuse_decisions(name, [as_given(word) for word in given], reader.root)
    if name in ("export", "unset", "declare", "typeset"):
        _refuse_marks([as_given(word) for word in given])
    unread = name not in _READERS and _WRITTEN.get(name, _types) is _types
    if unread and (PROTECTED_TEXT.search(fed) or DECISION_TEXT.search(fed)):
        raise AgentRefused("a text that names what is not yours is not fed to another program")
    written = _WRITTEN[name](reader, given) if name in _WRITTEN else [] if name in _READERS else given
    _may_read(reader, given, name)
    _may_write(reader, written)


def _script(reader: ShellReader, word: str) -> str:
    "The text of a script; '' where git has it as it stands, so that people have seen it"
    path = reader.folder / as_given(word)
    if word[:1] == UNKNOWN or path in reader.files:
        return reader.files.get(path, as_given(word[1:]))
    git = ["git", "-C", str(reader.root), "diff", "--quiet", "HEAD", "--", str(path)]
    known = ["git", "-C", str(reader.root), "ls-files", "--error-unmatch", str(path)]
    try:
        seen = all(subprocess.run(one, capture_output=True, timeout=5).returncode == 0 for one in (known, git))
    except (OSError, subprocess.SubprocessError, ValueError):
        seen = False
    return "" if seen or ".venv" in path.parts else file_text(path)


def _judge_script(reader: ShellReader, word: str) -> None:
    "Judges a file that is run, by its name or its first line"
    text, path = _script(reader, word), Path(as_given(word))
    if path.suffix == ".py" or re.match("#!.*python", text):
        _judge_code(reader, text, inline=False)
    elif path.suffix in (".sh", ".bash") or text.startswith("#!"):
        read_inside(reader, text)


def _judge_shell(reader: ShellReader, given: list[str], fed: str) -> None:
    "Judges what a shell is given: a text, a file, or what is fed"
    files = [word for word in given if word[:1] not in "-+"]
    _may_read(reader, files)
    if files and any(re.fullmatch(r"-\w*c\w*", word) for word in given):
        read_inside(reader, as_given(files[0]))
    elif files:
        read_inside(reader, _script(reader, files[0]))
    else:
        read_inside(reader, fed.replace(UNKNOWN, ""))

def _judge_code(reader: ShellReader, code: str, inline: bool = True) -> None:
    "Judges Python: what it names and says, and the files among that"
    facts = refuse_python(code, reader.root, inline)
    texts = [quoted(text) for text in facts.texts if len(text) < 300]
    _may_read(reader, texts)
    if facts.writes:
        _may_write(reader, texts, whole=inline and "rmtree" in facts.names)
    for text in (text for text in texts if inline and facts.writes and text.endswith((".py", ".sh"))):
        _judge_script(reader, text)


def _judge_python(reader: ShellReader, given: list[str], fed: str) -> None:
    "Judges what Python is given: code, a module, a file, or what is fed"
    while given and re.match(r"-[^cm]", given[0]):
        given = given[2 if given[0] in ("-W", "-X") else 1:]
    kind = given[0][:2] if given else "-"
    if kind in ("-c", "-m"):
        given = given[1:] if given[0] == kind else [given[0][2:], *given[1:]]
    text = as_given(given[0]) if given else ""
    if kind == "-":
        _judge_code(reader, fed)
    elif kind == "-c":
        _judge_code(reader, text)
    elif kind == "-m":
        return _judge_program(reader, "epoch" if text in ("epochkit", "epochkit.cli") else text, given, fed)
    else:
        _judge_code(reader, _script(reader, given[0]), inline=False)
    _may_write(reader, given[1:])

_LISTS = {"ls", "find", "fd", "grep", "rg", "git", "realpath", "readlink", "dirname"}


def _printed(reader: ShellReader, words: list[str], fed: str) -> str:
    "What a command prints, as far as that is known; for what lists files, the files that it was given"
    name, given = _name(words[0]), [as_given(word) for word in words[1:]]
    _remember(reader, name, given, fed)
    if name == "echo":
        return " ".join(word for word in given if not re.fullmatch("-[neE]+", word))
    if name == "printf" and given:
        values = iter(given[1:])
        text = re.sub("%[sbq]", lambda _: next(values, ""), given[0]).replace("\\n", "\n")
        return "\n".join([text, *values])
    if given[:2] == ["rev-parse", "--show-toplevel"]:
        return str(reader.root)
    if name in _LISTS:
        return "\n".join(_files(given) or ["."] * (name in ("ls", "find", "fd")))
    known = {"pwd": str(reader.folder), "mktemp": f"/tmp/{UNKNOWN}", "cat": UNKNOWN if given else fed}
    return known.get(name, UNKNOWN)


def _remember(reader: ShellReader, name: str, given: list[str], fed: str) -> None:
    "Notes what a command changes for those behind it: the folder, and variables"
    if name in ("cd", "pushd") and UNKNOWN not in "".join(given):
        place = (_files(given) or ["~"])[-1]
        reader.folder = Path(os.path.normpath(reader.folder / os.path.expanduser(place)))
    if name == "read":
        reader.variables |= {word: fed.split("\n") for word in _files(given)}
    if name in ("export", "declare", "local", "readonly", "typeset"):
        reader.variables |= {word.partition("=")[0]: [word.partition("=")[2]] for word in given if "=" in word}

def tool_refusal(tool: str, given: Mapping[str, Any], root: Path, folder: Path) -> str:
    "Why a tool may not be used like this in the project `root`, in one line; '' where it may"
    try:
        if tool in ("Edit", "MultiEdit", "Write", "NotebookEdit"):
            return _refused_file(given, root, folder)
        if isinstance(given.get("command"), str):
            read_commands(ShellReader(root, folder, judge_command), given["command"])
    except AgentRefused as refused:
        return " ".join(str(refused).split())
    except Exception as error:  # whatever keeps a command from being read
        text = str(given.get("command"))
        if PROTECTED_TEXT.search(text) or DECISION_TEXT.search(text) or "--unattended" in text:
            return f"this command cannot be read ({error}), and it names what is not yours: write it more simply"
    return ""


def _refused_file(given: Mapping[str, Any], root: Path, folder: Path) -> str:
    "Why a file may not be written like this; the files of rules are left to the person, who is asked"
    path = folder / os.path.expanduser(given.get("file_path") or given.get("notebook_path") or "")
    place = protected_place(path, root)
    if place and place.kind != "rules":
        return place.line
    found = re.search(r"\b(record_decision|decide_by_click|decide_unattended)\(", json.dumps(dict(given)))
    story = found and re.search(r"epoch00\d-", str(path))
    return DECIDES.format(f"{found[1]}()") if story else ""

def main() -> int:
    "Reads from stdin what a tool is about to do; 2 with one line on stderr where it may not or cannot be read, else 0"
    try:
        asked = json.load(sys.stdin)
        folder = Path(asked.get("cwd") or os.getcwd())
        root = Path(os.environ.get("CLAUDE_PROJECT_DIR") or folder)
        told = tool_refusal(asked.get("tool_name", ""), dict(asked.get("tool_input") or {}), root, folder)
    except (AttributeError, TypeError, ValueError) as error:
        told = f"the guard was not asked with a JSON object of tool_name, tool_input and cwd: {error}"
    print(told, file=sys.stderr, end="\n" if told else "")
    return 2 if told else 0


if __name__ == "__main__" and "ipykernel" not in sys.modules:
    sys.exit(main())
