"""Fast receivers and dead ones: `python -m tests.bench.receivers PORT…`.

Below `/ok` a request is answered at once, below `/silent` never.
"""

import sys

import gevent
from gevent import socket
from gevent.server import StreamServer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(connection: socket.socket, _: object) -> None:
    content = b""
    while b"\r\n\r\n" not in content:
        piece = connection.recv(65536)
        if not piece:
            return
        content += piece
    head, _, body = content.partition(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < size:
        body += connection.recv(65536)
    if content.startswith(b"POST /silent"):
        connection.recv(1)  # until the sender has had enough
    else:
        connection.sendall(OK)


def main() -> None:
    for port in sys.argv[1:]:
        StreamServer(("127.0.0.1", int(port)), answer).start()
    gevent.wait()


if __name__ == "__main__":
    main()
