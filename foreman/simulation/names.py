"""Model names as Ollama reads them: which strings mean the same model.

`m` = `M` = `m:latest` = `library/m` = `registry.ollama.ai/library/m:latest` = `m:local`.
"""

import re
from dataclasses import dataclass

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z")


@dataclass(frozen=True)
class Name:
    """A full name; two are the same model when their `key` is equal."""

    host: str
    namespace: str
    model: str
    tag: str

    @property
    def key(self) -> str:
        return self.full.lower()

    @property
    def full(self) -> str:
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """As lists show it: without the default host and namespace, with the tag."""
        parts = [self.host, self.namespace, f"{self.model}:{self.tag}"]
        if self.host == "registry.ollama.ai":
            parts = parts[2:] if self.namespace == "library" else parts[1:]
        return "/".join(parts)

    @property
    def is_valid(self) -> bool:
        return bool(
            _HOST.match(self.host)
            and _NAMESPACE.match(self.namespace)
            and _PART.match(self.model)
            and _PART.match(self.tag)
        )


def parse_name(text: str) -> Name:
    """Fill in what `text` leaves out; the result may be invalid."""
    text = text.strip()
    if text.lower().endswith(":local"):
        text = text[: -len(":local")]
    rest, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        rest, tag = text, "latest"
    parts = rest.split("/")
    model = parts.pop()
    namespace = parts.pop() if parts else "library"
    host = "/".join(parts) or "registry.ollama.ai"
    return Name(host.partition("://")[2] or host, namespace, model, tag)
