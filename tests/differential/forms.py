"""Make multipart forms at random: nearly right ones, whose parts and boundaries are odd.

What foreman leaves to the target on purpose is not made: headers in several lines, content that is
encoded as quoted-printable, a model whose part has parameters in the form of RFC 2231.
"""

import random

_BOUNDARY = b"edge"
_TYPES = [
    b"multipart/form-data; boundary=edge", b'Multipart/Form-Data; Boundary="edge"',
    b"multipart/form-data;boundary=edge; charset=utf-8", b"multipart/form-data; boundary=edge;",
    b"multipart/form-data; boundary=\"ed\\ge\"", b"multipart/form-data ; boundary = edge",
]  # fmt: skip
_WRONG_TYPES = [
    b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/mixed; boundary=edge",
    b"multipart/form-data; boundary=edge; boundary=edge", b"", b"application/json",
    b"multipart/form-data; boundary=other", b"multipart/form-data, boundary=edge",
    b"multipart/form-data; boundary=edge; x", b"multipart/form-data; boundary=e dge",
]  # fmt: skip
_QUERIES = [
    b"", b"", b"", b"", b"x=1", b"model=q", b"model=", b"model=a&model=b", b"model=%6D+x",
    b"model=%zz", b"a;b", b"&&model=z", b"MODEL=q", b"=", b"model", b"x=%", b"model=%ff",
]  # fmt: skip
_NAMES = [
    b'"model"', b'"model"', b"model", b'"Model"', b'"file"', b'""', b'"mo\\del"', b'"a b"', b"",
    b'"model', b'"language"',
]  # fmt: skip
_EXTENDED = [
    b"*=utf-8''%C3%A4.wav",
    b"*=x",
    b"*=utf-8''%zz",
    b'*0="a"; filename*1=b',
    b"*=a; filename*=b",
]
_VALUES = [
    b"m", b"m", b"whisper", b"", b" m ", b"a\r\nb", b"a\nb", b"\r\n", b"--edge", b"\r\n--edg",
    b"\r\n--edgeX", b"\r\n--edge-", b"\n--edge\n", b"\xff", b"--", b"\r", b"\r\n--edge--x",
    b"x" * 5000, b"x" * 70_00 + b"\r\n--edge\t",
]  # fmt: skip
_MORE_HEADERS = [
    b"", b"", b"", b"Content-Type: text/plain", b"content-length: 1", b"A:b", b"A : b", b": b",
    b"no header", b"Content-Transfer-Encoding: binary", b'Content-Disposition: form-data; name="x"',
]  # fmt: skip


class Forms:
    """Forms from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> tuple[bytes, bytes, bytes]:
        """A Content-Type, a query and a body."""
        pick, chance = self.random.choice, self.random.random
        end = b"\n" if chance() < 0.2 else b"\r\n"
        parts = [self._part(end) for _ in range(self.random.randrange(5))]
        begin = pick(
            [
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"",
                b"preamble" + end,
                end,
                b"--edge--x" + end,
                b"-" * 4090 + end,
            ]
        )
        close = pick([b"--edge--" + end] * 12 + [b"--edge--", b"--edge-- \t" + end, b"--edge", b""])
        after = pick([b"", b"", b"epilogue", end, b"--edge" + end])
        body = begin + b"".join(parts) + close + after
        if chance() < 0.05:
            body = body[: self.random.randrange(len(body) + 1)]
        kind = pick(_TYPES) if chance() < 0.85 else pick(_WRONG_TYPES)
        return kind, pick(_QUERIES) if chance() < 0.3 else b"", body

    def _part(self, end: bytes) -> bytes:
        pick, chance = self.random.choice, self.random.random
        kind = b"form-data" if chance() < 0.95 else pick([b"attachment", b"FORM-DATA", b"", b"a b"])
        disposition = b"Content-Disposition: " + kind
        name = pick(_NAMES if chance() < 0.3 else _NAMES[:3])
        if chance() < 0.95:
            disposition += b"; name=" + name
        if chance() < 0.2:
            disposition += b"; filename=" + pick([b'"a.wav"', b'""', b"a.wav", b'"x/y"'])
        if name in (b'"file"', b'"language"') and chance() < 0.5:
            disposition += b"; filename" + pick(_EXTENDED)
        if chance() < 0.05:
            disposition = disposition.upper()
        headers = [disposition] if chance() < 0.97 else []
        more = pick(_MORE_HEADERS) if chance() < 0.15 else b""
        headers.insert(self.random.randrange(len(headers) + 1), more) if more else None
        head = b"".join(header + end for header in headers)
        line = b"--edge" + (pick([b" ", b"\t", b" x", b"x"]) if chance() < 0.05 else b"")
        return line + end + head + end + pick(_VALUES if chance() < 0.3 else _VALUES[:3]) + end
