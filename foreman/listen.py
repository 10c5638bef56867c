"""A receiver of webhooks for trying them out: verifies each event and prints it on a line.

What a receiver of one's own has to do is what `EventLog.take` does: check the signature, then apply
an event only if its number is higher than the last one of its job.
"""

import hmac
import json
import re
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from foreman.core.webhooks import BODY_LIMIT_BYTES, signature

LISTEN_PORT = 8787
# How far the sender's clock may be from ours.
TOLERANCE_S = 300
_IDENTIFIER = re.compile(r"[\w-]{1,64}")


def is_signed(
    secrets: Sequence[str], message_id: str, timestamp: str, signatures: str, body: bytes
) -> bool:
    """Whether one of `signatures` is made with one of `secrets`, and lately."""
    if not timestamp.isdecimal() or abs(int(timestamp) - time.time()) > TOLERANCE_S:
        return False
    expected = [signature(secret, message_id, int(timestamp), body) for secret in secrets]
    given = signatures.split()
    return any(hmac.compare_digest(a.encode(), b.encode()) for a in expected for b in given)


class EventLog:
    """The lines of what came, and the newest number of each job."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = secrets
        self._newest: dict[str, int] = {}
        self._lock = Lock()

    def take(self, headers: Any, body: bytes) -> tuple[int, str]:
        """The status to answer, and the line to print."""
        message_id = headers.get("webhook-id", "")
        if not _IDENTIFIER.fullmatch(message_id):
            return 400, "refused: no webhook-id"
        given = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
        if self._secrets and not is_signed(self._secrets, message_id, *given, body):
            return 401, f"refused: {message_id} is not signed with this secret, or not lately"
        try:
            event = json.loads(body)
            job_id, seq = str(event["data"]["job_id"]), int(event["data"]["seq"])
            told = f"{event['type']!s:<14} seq {seq}  job {job_id}  {event['data'].get('model')}"
        except (ValueError, TypeError, KeyError, AttributeError):
            return 400, f"refused: the body of {message_id} is no event"
        with self._lock:
            is_new = seq > self._newest.get(job_id, 0)
            self._newest[job_id] = max(seq, self._newest.get(job_id, 0))
        trust = "verified" if self._secrets else "not verified"
        return 204, f"{told}  {trust}" + ("" if is_new else "  (not new: nothing to do)")


class _Handler(BaseHTTPRequestHandler):
    server: "Listener"
    timeout = 30

    def do_POST(self) -> None:
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > 2 * BODY_LIMIT_BYTES:
            self.send_error(411 if not size else 413)
            return
        status, line = self.server.events.take(self.headers, self.rfile.read(int(size)))
        printable = "".join(each if each.isprintable() else "?" for each in line)
        print(f"{time.strftime('%H:%M:%S')}  {printable}", flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing: an event has its own line."""


class Listener(ThreadingHTTPServer):
    """The server; `serve_forever` until somebody stops it."""

    daemon_threads = True

    def __init__(self, port: int, secrets: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.events = EventLog(secrets)


def listen(port: int, secrets: Sequence[str]) -> None:
    """Print events until Ctrl-C."""
    with Listener(port, secrets) as listener:
        print(f"listening at http://127.0.0.1:{listener.server_port}/", flush=True)
        try:
            listener.serve_forever()
        except KeyboardInterrupt:
            return
