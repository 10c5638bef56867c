"""py-amqp's transport, for foreman's own connections: no answer is waited for without a limit.

py-amqp itself waits for ever: to close a channel, to cancel a consumer, to declare a queue. A
connection that fell silent would then keep its thread for good. The limit is the socket's own, so
that it holds for gevent's sockets, too, where the kernel's timeouts (SO_RCVTIMEO) do nothing.
"""

import socket
from contextlib import suppress
from typing import Any

from kombu.transport import pyamqp


class BoundedConnection(pyamqp.Connection):
    """Raises TimeoutError from every wait of `wait_limit_s`; then it is to be dropped."""

    def __init__(self, *args: Any, wait_limit_s: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._wait_limit_s = wait_limit_s

    def connect(self, callback: Any = None) -> Any:
        """As py-amqp does it; its own limit ends with the handshake."""
        result = super().connect(callback)
        self.transport.sock.settimeout(self._wait_limit_s)
        return result


class Transport(pyamqp.Transport):
    """The transport of `broker.connect`."""

    Connection = BoundedConnection
    _made: Any = None

    def establish_connection(self) -> Any:
        """As kombu does it, and keep it for `cut`."""
        made: Any = super().establish_connection()
        self._made = made
        return self._made

    def cut(self) -> None:
        """End what any thread waits for in it. Its owner finds it broken, and drops it.

        Not `collect`, from another thread: who waits would then connect once more, unseen.
        """
        transport = self._made._transport if self._made else None
        sock = transport.sock if transport else None
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
