"""What an answer says of its cost, in any dialect."""

from dataclasses import dataclass

from foreman.core.go_json import Fields, fields, integer, read

_NS_PER_S = 1e9
# A last line is longer only when it has a context of many thousand tokens.
_LINE_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and seconds as the target counted them; None: it does not say."""

    prompt_tokens: int | None = None
    output_tokens: int | None = None
    load_s: float | None = None
    prompt_eval_s: float | None = None
    eval_s: float | None = None


def usage_in(answer: Fields) -> Usage:
    """Read the usage of a whole answer, or of whatever part of a stream has it."""
    told = fields(answer.get("usage"))
    return Usage(
        prompt_tokens=_first(
            answer.get("prompt_eval_count"), told.get("prompt_tokens"), told.get("input_tokens")
        ),
        output_tokens=_first(
            answer.get("eval_count"), told.get("completion_tokens"), told.get("output_tokens")
        ),
        load_s=_seconds(answer.get("load_duration")),
        prompt_eval_s=_seconds(answer.get("prompt_eval_duration")),
        eval_s=_seconds(answer.get("eval_duration")),
    )


def usage_at_end(tail: bytes) -> Usage:
    """The usage that the last line of an answer tells: of NDJSON, or of a whole body.

    `tail` is the end of the answer; when it has not all of the line, nothing is told.
    """
    line = tail.rstrip().rpartition(b"\n")[2]
    if not line.startswith(b"{") or len(line) > _LINE_LIMIT_BYTES:
        return Usage()
    try:
        return usage_in(fields(read(line)))
    except ValueError:
        return Usage()


def _first(*values: object) -> int | None:
    return next((found for value in values if (found := integer(value)) is not None), None)


def _seconds(nanoseconds: object) -> float | None:
    whole = integer(nanoseconds)
    return None if whole is None else whole / _NS_PER_S
