"""A web server of this machine that answers as a test tells it to."""
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Page:
    "One answer; `hang_up` closes the connection instead, `cut` ends it in the middle of the body"
    status: int = 200
    text: str = ""
    kind: str = "text/plain"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    cut: bool = False


Answers = list[Page] | Callable[[dict[str, str]], Page]


class Server:
    "What was asked so far, with the headers, and where"

    def __init__(self, answers: dict[str, Answers]):
        self.answers, self.asked, self.headers = answers, [], []
        self.url = ""

    def page(self, place: str) -> Page:
        "The answer to a path: the next of a list (the last one again and again), or what a function makes of the parameters"
        parts = urlsplit(place)
        found = self.answers.get(parts.path)
        if found is None:
            return Page(404)
        if callable(found):
            return found(dict(parse_qsl(parts.query, keep_blank_values=True)))
        return found[min(sum(urlsplit(asked).path == parts.path for asked in self.asked), len(found)) - 1]


@contextmanager
def serving(answers: dict[str, Answers]) -> Iterator[Server]:
    "A server at `.url` until the end of the block"
    told = Server(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            told.asked.append(self.path)
            told.headers.append(self.headers)
            page = told.page(self.path)
            if page.hang_up:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            body = page.body or page.text.encode()
            self.send_response(page.status)
            for name, value in {"Content-Type": page.kind, "Content-Length": str(len(body) + 100 * page.cut), **page.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = self.close_connection or page.cut

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
