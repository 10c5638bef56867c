"""What a target says is wrong, out of the body of its answer, in any dialect."""

from foreman.core.go_json import fields, read, text
from foreman.core.reading.answers import Reading, built, members_of

LIMIT_CHARS = 500


def error_in(answer: bytes) -> Reading[str]:
    """The string that an answer of Ollama's own routes has as its `error`; "" for none.

    In steps, for who has others to serve.
    """
    error = (yield from members_of(answer)).get("error")
    return text(built(answer, error)) if error else ""


def error_words(body: bytes) -> str:
    """The sentence in an error's body; the body itself when it is in no dialect."""
    try:
        error = fields(read(body)).get("error")
    except ValueError:
        error = None
    words = text(error) or text(fields(error).get("message"))
    words = words or body[: 4 * LIMIT_CHARS].decode("utf-8", errors="replace")
    return words.strip()[:LIMIT_CHARS] or "the target gave no reason"
