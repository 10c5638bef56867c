"""A server that accepts connections and never answers: a host that hangs."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a port where every request waits for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        # The kernel completes the connections; nobody reads what they carry.
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
