"""A real PostgreSQL for tests: a fresh cluster in a temporary folder, with a password, stopped at the end."""
import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from epochkit.serving.server import free_port

HINT = "no PostgreSQL server was found: apt-get install postgresql"


def binaries() -> Path | None:
    "The folder of the newest server that is installed (Debian keeps it out of PATH)"
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    folders += [Path(on_path).parent] if on_path else []
    return max(folders, key=lambda folder: [int(number) for number in re.findall(r"\d+", str(folder))], default=None)


def unprivileged() -> dict[str, object]:
    "What subprocess needs so that the server does not run as root, which it refuses"
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return {}


class Server:
    "A running PostgreSQL; `password` belongs to the user `kit`"

    def __init__(self, folder: Path, tools: Path):
        self.folder, self.tools, self.port, self.password = folder, tools, free_port(), f"p@ss/{secrets.token_hex(6)}%:"
        self.data, self.who = folder / "data", unprivileged()
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def call(self, tool: str, *arguments: str, check: bool = True) -> None:
        "Runs one of the server's tools"
        with (self.folder / f"{tool}.txt").open("wb") as said:  # a pipe would be held open by the server that pg_ctl leaves behind
            done = subprocess.run([self.tools / tool, *arguments], env=self.environment, cwd=self.folder, stdout=said, stderr=said, **self.who)
        if check and done.returncode:
            raise RuntimeError(f"{tool}: {(self.folder / f'{tool}.txt').read_text(errors='replace')[-2000:]}")

    def make(self) -> None:
        "The cluster, its superuser `kit` and the password"
        word = self.folder / "word"
        word.write_text(self.password)
        if self.who:
            for path in (self.folder, word):
                os.chown(path, self.who["user"], self.who["group"])
        self.call("initdb", "-D", str(self.data), "-U", "kit", "--pwfile", str(word), "-A", "scram-sha-256", "-E", "UTF8", "--no-sync")
        word.unlink()

    def start(self) -> None:
        "Starts it and waits until it answers"
        options = f"-c listen_addresses=127.0.0.1 -p {self.port} -c unix_socket_directories={self.folder} -c fsync=off -c shared_buffers=16MB"
        self.call("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log.txt"), "-o", options, "-w", "-t", "60", "start")

    def stop(self) -> None:
        "Stops it at once, as a crash would"
        self.call("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop", check=False)

    def spec(self, rest: str, password: str = "${KIT_DB_PASSWORD}") -> str:
        "A source of this server: `rest` is what follows the question mark"
        return f"sql:postgresql://kit:{password}@127.0.0.1:{self.port}/postgres?{rest}"

    def execute(self, *statements: str) -> list[tuple]:
        "The rows of the last statement"
        import psycopg
        with psycopg.connect(host="127.0.0.1", port=self.port, user="kit", password=self.password, dbname="postgres") as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres() -> Iterator[Server]:
    "A server of its own; nothing of it is left behind"
    with tempfile.TemporaryDirectory(prefix="pg", ignore_cleanup_errors=True) as folder:
        server = Server(Path(folder), binaries())
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()
