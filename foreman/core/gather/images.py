"""The images in a whole answer, wherever its dialect puts them.

Ollama's chat has them in `message.images`, its generation in `image`, both bare base64; OpenAI's
dialects have data URLs and the `result` of an image call, Anthropic's a block with a `source`.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from foreman.core.go_json import Fields, fields, items, text

# Where an answer speaks; elsewhere it repeats the request, whose images are not the model's.
_SPOKEN = ("message", "image", "images", "choices", "output", "content", "data")
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_UNKNOWN = "application/octet-stream"
# A model says what it likes: no page, and nothing that a header or a text column cannot hold.
_IMAGE_TYPE = re.compile(r"image/[a-z0-9.+-]{1,100}")


@dataclass(frozen=True, slots=True)
class GatheredImage:
    """One image that a model returned."""

    content_type: str  # what its first bytes say, else what the model says, if that is an image
    content: bytes

    @property
    def extension(self) -> str:
        """For a file's name, without a dot."""
        kind, _, name = self.content_type.partition("/")
        return name if kind == "image" and name.isalnum() else "bin"


def images_in(answer: Fields) -> Iterator[GatheredImage]:
    """The images of an answer, in its order; what is not base64 is passed over."""
    for key in _SPOKEN:
        if key in answer:
            yield from _at(key, answer[key])


def _at(key: str, value: object) -> Iterator[GatheredImage]:
    """The images in one field."""
    if isinstance(value, str) and key in ("image", "images", "image_url", "url", "b64_json"):
        yield from _decoded(value, "")
    for item in items(value):
        yield from _at(key, item)
    inside = fields(value)
    kind = text(inside.get("type"))
    if kind == "image_generation_call":
        yield from _decoded(text(inside.get("result")), "")
    if kind == "image":
        source = fields(inside.get("source"))
        yield from _decoded(text(source.get("data")), text(source.get("media_type")))
    deeper = {*_SPOKEN, "image_url", "b64_json", *(("url",) if key == "image_url" else ())}
    for name, item in inside.items():
        if name in deeper:
            yield from _at(name, item)


def _decoded(encoded: str, said_type: str) -> Iterator[GatheredImage]:
    if encoded.startswith("data:"):
        head, _, encoded = encoded.partition(",")
        said_type = head.removeprefix("data:").partition(";")[0]
    try:
        content = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return
    if content:
        yield GatheredImage(_content_type(content, said_type), content)


def _content_type(content: bytes, said: str) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    known = (kind for signature, kind in _SIGNATURES if content.startswith(signature))
    said = said.lower()
    return next(known, said if _IMAGE_TYPE.fullmatch(said) else _UNKNOWN)
