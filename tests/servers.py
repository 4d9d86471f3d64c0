"""Real HTTP servers on the loopback interface, for one test each."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Answers every request by calling `server.answer`, and keeps the requests."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        self.server.requests.append(self)
        self.server.answer(self)
        self.close_connection = True

    do_POST = do_GET

    def send(self, status: int, body: bytes = b"", *, cut: int | None = None, **headers: str) -> None:
        """Send a response; with `cut`, close the connection after that many bytes of the body."""
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body)), "Connection": "close"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def serve(answer: Callable[[Handler], None], port: int = 0) -> Iterator[ThreadingHTTPServer]:
    """Serve until the block ends; `server.address` is an address there, `server.requests` are the requests so far."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.answer, server.requests = answer, []
    server.address = f"http://127.0.0.1:{server.server_port}/pictures.zip"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer_ranges(request: Handler, content: bytes, *, tag: str = '"1"', cut: int | None = None) -> None:
    """Answer as a server that supports ranges; with `cut`, close the connection after that many bytes."""
    match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    start = int(match[1]) if match and request.headers.get("If-Range") == tag else 0
    if start >= len(content):
        request.send(416, Content_Range=f"bytes */{len(content)}")
    elif start:
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        request.send(206, content[start:], cut=cut, ETag=tag, Content_Range=told)
    else:
        request.send(200, content, cut=cut, ETag=tag)
