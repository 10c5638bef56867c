"""What a naive proxy costs: the plain baseline that foreman is compared with.

gunicorn's gevent worker, Flask and requests, as in foreman, and nothing else: no queue, no
database, no broker, no second process. Bytes go through as they come, read as `adapters.target`
reads them.
"""

import os
import sys
from collections.abc import Iterator

import requests
from flask import Flask, Response, request
from requests.adapters import HTTPAdapter

READ_BYTES = 64 * 1024
CONNECTIONS = 256
HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


def command(port: int) -> list[str]:
    """What starts it; it reads the target's URL from TARGET_URL."""
    options = ["-k", "gevent", "-w", "1", "--worker-connections", "2000", "--keep-alive", "75"]
    bind = ["-b", f"127.0.0.1:{port}", "--no-control-socket", "--log-level", "warning"]
    return [sys.executable, "-m", "gunicorn", *options, *bind, "tests.bench.proxy:make_app()"]


def make_app() -> Flask:
    """The application."""
    target = os.environ["TARGET_URL"]
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS))
    app = Flask("proxy", static_folder=None)

    @app.post("/<path:path>")
    def forward(path: str) -> Response:
        answer = session.post(
            f"{target}/{path}",
            data=request.get_data(),
            headers={"Content-Type": request.content_type or ""},
            stream=True,
        )
        headers = [(k, v) for k, v in answer.headers.items() if k.lower() not in HOP_BY_HOP]
        return Response(_chunks(answer), answer.status_code, headers)

    return app


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        while chunk := answer.raw.read1(READ_BYTES, decode_content=False):
            yield chunk
        answer.raw.release_conn()  # read to its end: the connection serves the next request
