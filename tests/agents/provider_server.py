"""A local HTTP server that answers in the providers' recorded shapes, and misbehaves on order."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Answer:
    """One answer: a status, headers, and a body (JSON unless bytes)."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_to: int | None = None
    delay_s: float = 0.0


@dataclass
class Seen:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Provider:
    """Answers in order per path; the last one repeats."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, list[Answer]] = {}
        self.seen: list[Seen] = []

    def on(self, path: str, *answers: Answer | Any) -> None:
        self.answers[path] = [each if isinstance(each, Answer) else Answer(each) for each in answers]


@contextmanager
def provider() -> Iterator[Provider]:
    found: list[Provider] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served = found[0]
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            served.seen.append(Seen(parts.path, query, {name.lower(): value for name, value in self.headers.items()}))
            queue = served.answers.get(parts.path) or [Answer({"error": "unknown"}, 404)]
            answer = queue.pop(0) if len(queue) > 1 else queue[0]
            time.sleep(answer.delay_s)
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            # Promised whole, sent in part: the connection ends before the body does.
            self.wfile.write(data if answer.cut_to is None else data[: answer.cut_to])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.append(Provider(f"http://127.0.0.1:{server.server_address[1]}"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
