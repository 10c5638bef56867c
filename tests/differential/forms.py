"""Make multipart forms at random: nearly right ones, whose parts and boundaries are odd.

Content in quoted-printable that is a file's, or has no name, is made without errors: foreman does
not read it, and Ollama refuses such a form itself.
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
_EXTENDED_NAMES = [
    b"name*=utf-8''model", b"name*=utf-8'en'mod%65l", b"name*=latin-1''model", b"name*=utf-8'model",
    b'name*0="mo"; name*1=del', b"name*0*=utf-8''mo; name*1*=%64el", b"name*0*=x; name*1=model",
    b"name*1=model", b"name*=utf-8''%zz", b"name*=utf-8''model; name=x", b"name*0=model; name*=x",
    b"name*0=a; name*0=b", b"NAME*=UTF-8''model", b"name**=model", b"name*=us-ascii''model",
    b"name*=utf-8''mod%6", b'name*="utf-8\'\'model"', b"name*0*=utf-8''%zz; name*1=model",
]  # fmt: skip
_QUOTED_NAMES = [b"=6d", b"m", b"mo=\r\ndel", b"a =\n b", b"m=3D", b"m  ", b"=6D \r\n x\t"]
_QUOTED = [
    *_QUOTED_NAMES, b"=", b"m=", b"=6", b"=\r\n", b"=g1", b"=6g", b"m= x", b"m=  \r\n", b"\x00",
    b"\xe4=E4", b"=\r", b"=a", b"==", b"==6d", b"a=\r\r\nb", b"\x7f", b"a\rb", b"=\r\n=",
    b"x" * 4090, b"x" * 4095 + b"\n",
    b"x" * 4000 + b"=\nyy",
]  # fmt: skip
_FOLDS = [b" ", b"\t", b"  \t", b" \t ", b" \r"]
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
        name = pick(_NAMES if chance() < 0.3 else _NAMES[:3])
        disposition = self._disposition(name)
        headers = [disposition] if chance() < 0.97 else []
        values = _VALUES if chance() < 0.3 else _VALUES[:3]
        if chance() < 0.2:
            is_read = b"name=" + name in disposition and b"filename" not in disposition
            values = _QUOTED if is_read and b"model" in name else _QUOTED_NAMES
            coding = pick([b"quoted-printable"] * 4 + [b"Quoted-Printable ", b"base64", b""])
            headers.insert(
                self.random.randrange(len(headers) + 1), b"Content-Transfer-Encoding: " + coding
            )
        more = pick(_MORE_HEADERS) if chance() < 0.15 else b""
        headers.insert(self.random.randrange(len(headers) + 1), more) if more else None
        if chance() < 0.2:
            headers = [self._folded(header, end) for header in headers]
        head = b"".join(header + end for header in headers)
        line = b"--edge" + (pick([b" ", b"\t", b" x", b"x"]) if chance() < 0.05 else b"")
        return line + end + head + end + pick(values) + end

    def _disposition(self, name: bytes) -> bytes:
        pick, chance = self.random.choice, self.random.random
        kind = b"form-data" if chance() < 0.95 else pick([b"attachment", b"FORM-DATA", b"", b"a b"])
        disposition = b"Content-Disposition: " + kind
        if chance() < 0.1:
            disposition += b"; " + pick(_EXTENDED_NAMES)
        elif chance() < 0.95:
            disposition += b"; name=" + name
        if chance() < 0.2:
            disposition += b"; filename=" + pick([b'"a.wav"', b'""', b"a.wav", b'"x/y"'])
        if chance() < 0.1:
            disposition += b"; filename" + pick(_EXTENDED)
        return disposition.upper() if chance() < 0.05 else disposition

    def _folded(self, header: bytes, end: bytes) -> bytes:
        """The header in two lines or three: most of them after a semicolon or a colon."""
        pick, chance = self.random.choice, self.random.random
        marks = [at + 1 for at, byte in enumerate(header) if byte in b";:"]
        at = pick(marks) if marks and chance() < 0.8 else self.random.randrange(len(header) + 1)
        blank = end + pick(_FOLDS)
        return header[:at] + blank + (blank if chance() < 0.2 else b"") + header[at:]
