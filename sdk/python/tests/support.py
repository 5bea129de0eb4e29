"""The server of the tests, and a proxy that loses answers."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx

# The server refuses settings that it does not know.
ENVIRONMENT = {name: text for name, text in os.environ.items() if not name.startswith("PAYERBASE_")}


@dataclass(frozen=True)
class Server:
    """A payerbase server."""

    url: str
    token: str
    binary: str
    folder: str

    def new_token(self) -> str:
        """A token of a payer that nobody else uses."""
        return self.token_of("0x" + uuid.uuid4().hex + "00000000")

    def token_of(self, payer: str) -> str:
        """A token of a payer."""
        command = [self.binary, "token", "create", "--payer", payer, "--data-dir", self.folder]
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
        return run.stdout.strip()


@contextmanager
def running_server() -> Iterator[Server]:
    """Starts the program of `PAYERBASE_BIN` with a new database."""
    binary = os.environ.get("PAYERBASE_BIN")
    if not binary:
        raise RuntimeError("set PAYERBASE_BIN to the path of the program payerbase")
    with tempfile.TemporaryDirectory() as folder:
        # As root, the server runs PostgreSQL as another user.
        Path(folder).chmod(0o755)
        command = [binary, "dev", "--json", "--port", "0", "--data-dir", f"{folder}/data"]
        log = Path(folder, "log")
        with (
            log.open("w") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=ENVIRONMENT) as run,
        ):
            try:
                assert run.stdout
                line = run.stdout.readline()
                if not line:
                    raise RuntimeError(log.read_text())
                started = json.loads(line)
                yield Server(started["url"], started["token"], binary, f"{folder}/data")
            finally:
                run.terminate()
                run.wait()


def fresh(name: str = "test") -> str:
    """A name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Seen:
    """A request that came to the proxy."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    # On the monotonic clock.
    at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Fault:
    """What the proxy does with a request, instead of passing it on and its answer back."""

    # Whether the server gets the request.
    passes_on: bool = False
    # Whether there is no answer until the proxy is closed.
    hangs: bool = False
    # How long the request is kept before the server gets it, and its answer is passed back.
    delays_seconds: float = 0
    # The answer; none: the connection is closed.
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


LOSES_ANSWER = Fault(passes_on=True)
LOSES_REQUEST = Fault()
HANGS = Fault(hangs=True)
HANGS_AFTERWARDS = Fault(passes_on=True, hangs=True)


def problem(status: int, code: str, **headers: str) -> Fault:
    """An answer that is a problem."""
    members = {
        "type": f"/problems#{code}",
        "title": code,
        "status": status,
        "detail": "-",
        "instance": "1",
        "code": code,
    }
    named = {
        "Content-Type": "application/problem+json",
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    return Fault(status=status, headers=named, body=json.dumps(members))


class Proxy:
    """Passes requests on to a server, but for the next ones in `faults`."""

    def __init__(self, target: str) -> None:
        self.faults: deque[Fault] = deque()
        self.seen: list[Seen] = []
        self._is_closed = Event()
        proxy, http = self, httpx.Client(timeout=60)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                proxy.seen.append(Seen(self.command, self.path, dict(self.headers), body))
                fault = proxy.faults.popleft() if proxy.faults else None
                if fault and fault.delays_seconds:
                    time.sleep(fault.delays_seconds)
                    fault = None
                if fault is None or fault.passes_on:
                    sent = {name: text for name, text in self.headers.items() if name.lower() != "host"}
                    answer = http.request(self.command, target + self.path, content=body, headers=sent)
                if fault and fault.hangs:
                    proxy._is_closed.wait()
                if fault is None:
                    self.answer(answer.status_code, answer.headers, answer.content)
                elif fault.status is None:
                    self.close_connection = True
                else:
                    self.answer(fault.status, fault.headers, fault.body.encode())

            def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, text in headers.items():
                    if name.lower() not in ("content-length", "content-encoding", "transfer-encoding", "connection"):
                        self.send_header(name, text)
                if status != httpx.codes.NO_CONTENT:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def keys(self) -> list[str | None]:
        """The idempotency keys of the requests."""
        return [seen.headers.get("Idempotency-Key") for seen in self.seen]

    def close(self) -> None:
        """Stops the proxy."""
        self._is_closed.set()
        self._server.shutdown()
        self._server.server_close()
