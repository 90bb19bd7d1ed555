"""A Hugging Face Hub of one repository on loopback: enough of its endpoints for a real download. Never the network.

Used with HF_ENDPOINT in a process of its own: the Hub library reads that when it is imported.
"""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class FakeHub:
    """Serves the files of `directory` as repository `repository`. `requests` are the lines that came in."""

    repository: str
    directory: Path
    cut_after: int | None = None  # break the first answer that is longer after so many bytes
    requests: list[str] = field(default_factory=list)
    url: str = ""

    @cached_property
    def listing(self) -> list[dict[str, Any]]:
        """The repository's files, the weights as a large file with its SHA-256."""
        return [self._entry(path) for path in sorted(self.directory.iterdir()) if path.is_file()]

    def _entry(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        entry: dict[str, Any] = {
            "type": "file",
            "path": path.name,
            "size": len(content),
            "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),  # git's name for it
        }
        if path.suffix in {".bin", ".onnx"}:
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def info(self) -> dict[str, Any]:
        """The repository's own page."""
        files = [{"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]} for entry in self.listing]
        return {
            "_id": "1",
            "id": self.repository,
            "modelId": self.repository,
            "sha": COMMIT,
            "private": False,
            "siblings": files,
            "tags": [],
        }


@contextmanager
def running(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve until the block ends; then its port refuses."""
    server = _Server(hub)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def mute() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def swallowing() -> Iterator[str]:
    """An address whose packets vanish: the queue of connections is full, so the kernel drops the next ones."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def refusing() -> Iterator[str]:
    """An address where no server listens."""
    with socket.socket() as bound:  # bound and not listening: no other process can take the port meanwhile
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def nameless() -> Iterator[str]:
    """A host name that no name service has."""
    yield "http://hub.invalid"


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: FakeHub) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> FakeHub:
        return cast("_Server", self.server).hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: Any) -> None:
        """Log nothing: tests read `hub.requests` instead."""

    def _answer(self, *, body: bool) -> None:
        hub = self.hub
        hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}".rstrip())
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if re.fullmatch(rf"/api/models/{hub.repository}(/revision/[^/]+)?", path):
            self._json(hub.info())
        elif re.fullmatch(rf"/api/models/{hub.repository}/tree/[^/]+", path):
            self._json(hub.listing)
        elif re.fullmatch(rf"/{hub.repository}/resolve/[^/]+/[^/]+", path) and (hub.directory / name).is_file():
            self._file(name, body=body)
        else:
            self._send(HTTPStatus.NOT_FOUND, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _json(self, value: Any) -> None:
        self._send(HTTPStatus.OK, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, *, body: bool) -> None:
        entry = next(entry for entry in self.hub.listing if entry["path"] == name)
        headers = {"ETag": f'"{entry.get("lfs", entry)["oid"]}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = int(match[1]) if (match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))) else 0
        content = (self.hub.directory / name).read_bytes()
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._send(HTTPStatus.PARTIAL_CONTENT if start else HTTPStatus.OK, content[start:], headers, body=body)

    def _send(self, status: HTTPStatus, content: bytes, headers: dict[str, str], *, body: bool = True) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self._write(content)

    def _write(self, content: bytes) -> None:
        cut = self.hub.cut_after
        if cut is None or len(content) <= cut:
            self.wfile.write(content)
        else:
            self.hub.cut_after = None  # only the first time
            self.wfile.write(content[:cut])
            self.close_connection = True
