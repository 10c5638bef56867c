"""Requests in all kinds of HTTP, by name; the ones that are read otherwise than by Go's server."""

from tests.integration.front.raw import HOST, head

BODY = b'{"model":"chain-a"}'
CHUNKED_BODY = b"13\r\n" + BODY + b"\r\n0\r\n\r\n"
LENGTH = b"Content-Length: 19"
CHUNKED = b"Transfer-Encoding: chunked"


def post(*headers: bytes, body: bytes = BODY, target: bytes = b"/api/show") -> bytes:
    return head(target, *headers, method=b"POST") + body


def chunks(body: bytes, target: bytes = b"/api/show") -> bytes:
    return post(CHUNKED, body=body, target=target)


def get(*headers: bytes) -> bytes:
    return head(b"/api/version", *headers)


# Served by Go and by foreman, or refused by both with the same status.
AS_GO: dict[str, bytes] = {
    "a plain request": get(),
    "a long cookie": get(b"Cookie: a=" + b"x" * 9000),
    "a header of 60 kB": get(b"Cookie: a=" + b"x" * 60_000),
    "120 headers": head(b"/healthz", *(b"X-%d: 1" % number for number in range(120))),
    "a query of 5 kB": head(b"/healthz?q=" + b"x" * 5000),
    "a query of 60 kB": head(b"/healthz?q=" + b"x" * 60_000),
    "a head of 2 MB": get(*(b"X-%d: " % number + b"x" * 60_000 for number in range(35))),
    "an upgrade to a WebSocket": get(b"Connection: Upgrade", b"Upgrade: websocket"),
    "an upgrade of a POST": post(LENGTH, b"Connection: Upgrade", b"Upgrade: websocket"),
    "an upgrade to HTTP/2": get(b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAMA"),
    "an expectation": post(LENGTH, b"Expect: 100-continue"),
    "another expectation": post(LENGTH, b"Expect: 200-ok"),
    "HTTP/1.0": head(version=b"HTTP/1.0", host=b""),
    "HTTP/1.0 that stays": head(b"/api/version", b"Connection: keep-alive", version=b"HTTP/1.0"),
    "HTTP/1.2": head(version=b"HTTP/1.2"),
    "HTTP/2.0": head(version=b"HTTP/2.0"),
    "HTTP/3": head(version=b"HTTP/3"),
    "no version": b"GET /api/version\r\n\r\n",
    "no such protocol": head(version=b"HTPP/1.1"),
    "an absolute target": head(b"http://localhost/api/version?x=1"),
    "an absolute target with https": head(b"https://localhost/api/version"),
    "a question to the server": head(b"*", method=b"OPTIONS"),
    "a method that is no token": head(method=b"G(T"),
    "a header with an underscore": get(b"X_Y: 1"),
    "an odd header name": get(b"X!#$%&'*+.^`|~: 1"),
    "a bad header name": get(b"X(Y: 1"),
    "a space before the colon": get(b"X-Y : 1"),
    "no colon": get(b"XY"),
    "an empty header name": get(b": 1"),
    "an empty header": get(b"X-Y:"),
    "Latin-1 in a header": get(b"X-Y: \xe9\xff"),
    "UTF-8 in a header": get("X-Y: é".encode()),
    "a NUL in a header": get(b"X-Y: a\x00b"),
    "a bare CR in a header": get(b"X-Y: a\rb"),
    "lengths that differ": post(LENGTH, b"Content-Length: 3"),
    "a list of lengths": post(b"Content-Length: 19, 19"),
    "a length with a sign": post(b"Content-Length: +19"),
    "a negative length": post(b"Content-Length: -1"),
    "an empty length": post(b"Content-Length:", body=b""),
    "a length that is a word": post(b"Content-Length: abc"),
    "a length beyond 64 bits": post(b"Content-Length: 99999999999999999999999999"),
    "a length in other digits": post("Content-Length: ²".encode("latin-1")),
    "gzip, then chunked": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKED_BODY),
    "identity": post(LENGTH, b"Transfer-Encoding: identity"),
    "an unknown coding": post(b"Transfer-Encoding: xchunked"),
    "gzip alone": post(b"Transfer-Encoding: gzip"),
    "CHUNKED": post(b"Transfer-Encoding: CHUNKED", body=CHUNKED_BODY),
    "a chunked body": chunks(CHUNKED_BODY),
    "a chunk with an extension": chunks(b"13;a=b\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a trailer": chunks(b"13\r\n" + BODY + b"\r\n0\r\nX-T: 1\r\n\r\n"),
    "a chunk of 0x13": chunks(b"0x13\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk of -1": chunks(b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size with a bare LF": chunks(b"13\n" + BODY + b"\n0\n\n"),
    "a chunk with a bare LF": chunks(b"13\r\n" + BODY + b"\n0\r\n\r\n"),
    "a chunk of 160 bits": chunks(b"f" * 40 + b"\r\n" + BODY),
    "a chunk without a size": chunks(b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk of zz": chunks(b"zz\r\n"),
    "a bad trailer": chunks(b"13\r\n" + BODY + b"\r\n0\r\nX-T 1\r\n\r\n"),
    "no Host": head(host=b""),
    "an empty Host": head(host=b"Host:\r\n"),
    "two Hosts": head(host=HOST + HOST),
    "raw UTF-8 in the query": head("/api/version?q=é".encode()),
    "odd bytes in the query": head(b'/api/version?q=%zz&%ff=1;2&a[]={}|\\^`"<>'),
    "a control character in the path": head(b"/api/ver\x01sion"),
    "a space in the path": head(b"/api/ver sion"),
    "no slash": head(b"api/version"),
    "a list with close": get(b"Connection: close, TE", b"TE: trailers"),
    "PROXY protocol 1": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(),
    "PROXY protocol 2": b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c" + bytes(12) + get(),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(32)),
    "SCRIPT_NAME": get(b"SCRIPT_NAME: /x"),
    "X-Forwarded-Proto twice": get(b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http"),
    "contradictory schemes": get(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"),
    "a GET with a body": get(LENGTH) + BODY,
    "no HTTP at all": b"\x00\x01\x02\x03\r\n\r\n",
}

# Go serves these, foreman refuses them: two readers might not agree on where they end, or what
# they say. The statuses are Go's and foreman's; docs/proxies.md lists them.
REFUSED_FOR_SAFETY: dict[str, tuple[bytes, int, int]] = {
    "a length twice": (post(LENGTH, LENGTH), 200, 400),
    "a length and chunks": (post(LENGTH, CHUNKED, body=CHUNKED_BODY), 200, 400),
    "chunks in HTTP/1.0": (
        b"POST /api/show HTTP/1.0\r\n" + CHUNKED + b"\r\n\r\n" + CHUNKED_BODY,
        200,
        400,
    ),
    "chunked twice": (post(CHUNKED, CHUNKED, body=CHUNKED_BODY), 501, 400),
    "a folded header": (get(b"X-Y: a\r\n b"), 200, 400),
    "a head with bare LFs": (get().replace(b"\r\n", b"\n"), 200, 400),
    "one bare LF": (get(b"X-A: 1\nX-B: 2"), 200, 400),
    "two types": (post(LENGTH, b"Content-Type: a/b", b"Content-Type: text/plain"), 200, 400),
    "a method in lower case": (head(method=b"get"), 200, 400),
    "a header of 70 kB": (get(b"X-A: " + b"x" * 70_000), 200, 431),
    "250 headers": (get(*(b"X-%d: 1" % number for number in range(250))), 200, 431),
    "a request line of 70 kB": (head(b"/healthz?q=" + b"x" * 70_000), 200, 414),
}

# Foreman serves these, Go refuses them.
SERVED_ALL_THE_SAME: dict[str, bytes] = {
    "an empty line before": b"\r\n" + get(),
    "two empty lines between two requests": get() + b"\r\n\r\n" + get(),
}
