"""What a target says is wrong, out of the body of its answer, in any dialect."""

from foreman.core.go_json import fields, read, text

LIMIT_CHARS = 500


def error_words(body: bytes) -> str:
    """The sentence in an error's body; the body itself when it is in no dialect."""
    try:
        error = fields(read(body)).get("error")
    except ValueError:
        error = None
    words = text(error) or text(fields(error).get("message"))
    words = words or body[: 4 * LIMIT_CHARS].decode("utf-8", errors="replace")
    return words.strip()[:LIMIT_CHARS] or "the target gave no reason"
