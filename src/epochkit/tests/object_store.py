"""An S3-compatible store of this machine for tests: the four requests that Arrow makes, without a package (moto would hold python-dateutil three years back)."""
import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Store(BaseHTTPRequestHandler):
    "What Arrow asks of a store: objects by bucket/key are listed and read; `asked` for, and refused beyond `left` of them"
    objects: dict[str, bytes] = {}
    asked: list[str] = []
    left, moment = None, "Mon, 01 Jan 2024 00:00:00 GMT"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), "Last-Modified": self.moment, **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status, code):
        self.answer(status, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())

    def do_HEAD(self):
        name = unquote(urlsplit(self.path).path)[1:]
        found = self.objects.get(name)
        if found is None and name in {key.partition("/")[0] for key in self.objects}:
            return self.answer(200)
        self.answer(404) if found is None else self.send_response(200) or self.headed(found)

    def headed(self, found):
        self.send_header("Content-Length", str(len(found)))
        self.send_header("Last-Modified", self.moment)
        self.end_headers()

    def do_GET(self):
        address, words = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        name = unquote(address.path)[1:]
        if "secret" in name:
            return self.refuse(403, "AccessDenied")
        if "list-type" in words:
            return self.list_objects(name.strip("/"), words.get("prefix", [""])[0])
        if name not in self.objects:
            return self.refuse(404, "NoSuchKey")
        type(self).asked.append(name)
        if self.left is not None and len(self.asked) > self.left:
            return self.refuse(403, "AccessDenied")
        start, _, end = self.headers.get("Range", "bytes=0-").partition("=")[2].partition("-")
        found = self.objects[name]
        part = found[int(start):int(end or len(found)) + 1]
        self.answer(206, part, Content_Range=f"bytes {start}-{int(start) + len(part) - 1}/{len(found)}")

    def list_objects(self, bucket, prefix):
        keys = [name.partition("/")[2] for name in self.objects if name.startswith(f"{bucket}/{prefix}")]
        rows = "".join(f"<Contents><Key>{escape(key)}</Key><Size>{len(self.objects[f'{bucket}/{key}'])}</Size>"
                       "<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>" for key in keys)
        self.answer(200, f"<ListBucketResult><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{rows}"
                         "</ListBucketResult>".encode())


@contextlib.contextmanager
def object_store() -> Iterator[tuple[type[Store], dict[str, str]]]:
    "A store of its own, empty, and the variables by which clients find it"
    class Own(Store):
        objects, asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Own, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "me",
                "AWS_SECRET_ACCESS_KEY": "hush", "AWS_REGION": "eu-central-1"}
    server.shutdown()
