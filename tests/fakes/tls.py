"""TLS for tests: a private CA, and a small server that speaks TLS in front of one that does not."""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LIMIT_S = 60.0
_PEM = serialization.Encoding.PEM
# What a PostgreSQL client may send before anything else.
_SSL_REQUEST, _GSS_REQUEST = 80877103, 80877104

Opening = Callable[[socket.socket], None]


class Authority:
    """A CA of a test; `file` is what trusts it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.file = folder / f"{name}.pem"
        basic = x509.BasicConstraints(ca=True, path_length=0)
        made = _builder(self._name, self._name, self._key).add_extension(basic, critical=True)
        self.file.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def context(self, host: str) -> ssl.SSLContext:
        """A server's side of TLS, with a certificate for `host`."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        made = (
            _builder(_name(host), self._name, key)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        form = serialization.PrivateFormat.PKCS8
        secret = key.private_bytes(_PEM, form, serialization.NoEncryption())
        path = self._folder / f"{self.file.stem}-{host}.pem"
        path.write_bytes(secret + made.public_bytes(_PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return x509.CertificateBuilder(
        issuer,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=1),
    )


def at_once(connection: socket.socket) -> None:
    """TLS begins with the first byte."""


def as_postgres(connection: socket.socket) -> None:
    """TLS begins when the client has asked for it and was answered."""
    while True:
        size, code = struct.unpack("!ii", connection.recv(8, socket.MSG_WAITALL))
        if (size, code) == (8, _SSL_REQUEST):
            connection.sendall(b"S")
            return
        if (size, code) != (8, _GSS_REQUEST):
            raise ConnectionError("the client does not ask for TLS")
        connection.sendall(b"N")


class TlsProxy:
    """Ends TLS on a loopback port and passes the bytes on to `address` (or a unix socket).

    Without a context it is a plain server, and passes on what comes.
    """

    def __init__(
        self,
        address: tuple[str, int] | str,
        context: ssl.SSLContext | None,
        opening: Opening = at_once,
    ) -> None:
        self._address, self._context, self._opening = address, context, opening
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.handshakes = 0  # that succeeded
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "TlsProxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        raw.settimeout(LIMIT_S)
        try:
            with raw, self._secured(raw) as client, self._connect() as server:
                _exchange(client, server)
        except (OSError, struct.error):  # the client did not like us, or has left
            return

    def _secured(self, raw: socket.socket) -> socket.socket:
        if self._context is None:
            return raw
        self._opening(raw)
        client = self._context.wrap_socket(raw, server_side=True)
        self.handshakes += 1
        return client

    def _connect(self) -> socket.socket:
        if isinstance(self._address, str):
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._address)
            return server
        return socket.create_connection(self._address)


def _exchange(client: socket.socket, server: socket.socket) -> None:
    """Pass bytes both ways, until one side ends."""
    other = {client: server, server: client}
    for side in other:
        side.settimeout(LIMIT_S)
    while True:
        # Without read-ahead OpenSSL takes one record at a time: what it left shows as readable.
        for side in select.select([*other], [], [])[0]:
            content = side.recv(65536)
            if not content:
                return
            other[side].sendall(content)
