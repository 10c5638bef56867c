"""`/v1/responses`: the last event has the whole answer, with its keys sorted.

Only that event is kept. Its fields get the order that Ollama gives them in a whole answer, and
the two places in which Ollama itself writes the two differently are made alike.
"""

from foreman.core.gather.gathering import ErrorInStream, Gathering
from foreman.core.gather.lines import Events
from foreman.core.gather.usage import usage_in
from foreman.core.go_json import Fields, fields, items, ordered, text

_RESPONSE = (
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier"),
    *("metadata", "safety_identifier", "prompt_cache_key"),
)
_ITEM = (
    *("id", "type", "status", "role", "content", "call_id", "name", "arguments"),
    *("summary", "encrypted_content"),
)
_PART = ("type", "text", "annotations", "logprobs")
_TOOL = ("type", "name", "description", "strict", "parameters")
_FORMAT = ("type", "name", "schema", "strict")
_USAGE = (
    *("input_tokens", "output_tokens", "total_tokens"),
    *("input_tokens_details", "output_tokens_details"),
)
# The events that have a whole response; a failed one has an error in it.
_LAST = ("response.completed", "response.incomplete", "response.failed")


class ResponsesGathering(Gathering):
    """One answer of `/v1/responses`."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(Events(limit_bytes), limit_bytes)
        self._response: Fields = {}

    def error_in(self, name: str, said: Fields) -> ErrorInStream | None:
        kind = text(said.get("type")) or name
        if kind == "response.failed":
            return super().error_in(name, fields(said.get("response"))) or _FAILED
        if kind == "error" and not said.get("error"):
            return ErrorInStream(text(said.get("message")) or "error", text(said.get("code")))
        return super().error_in(name, said)

    def take(self, name: str, said: Fields) -> None:
        kind = text(said.get("type")) or name
        self.pieces += kind.endswith(".delta")
        if kind in _LAST:
            self.is_complete = True
            self._response = fields(said.get("response"))
            self.usage = usage_in(self._response)

    def answer(self) -> Fields:
        if not self.is_complete:
            raise self.cut()
        whole: Fields = {
            **self._response,
            "output": _output(self._response),
            "tools": [_in_order(tool, _TOOL) for tool in items(self._response.get("tools"))],
        }
        for key, write_as in (("usage", _usage), ("text", _text), ("reasoning", _reasoning)):
            if isinstance(whole.get(key), dict):
                whole[key] = write_as(fields(whole[key]))
        return ordered(whole, _RESPONSE)


_FAILED = ErrorInStream("the response failed")


def _output(response: Fields) -> list[object]:
    """The items in order. A whole answer without a call has a message, be it without words."""
    output = [_item(item) for item in items(response.get("output"))]
    kinds = {item.get("type") for item in map(fields, output)}
    if kinds <= {"reasoning"}:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item_id = "msg_" + text(response.get("id")).removeprefix("resp_")
        head = {"id": item_id, "type": "message", "status": "completed", "role": "assistant"}
        output.append({**head, "content": [part]})
    return output


def _item(given: object) -> object:
    if not isinstance(given, dict):
        return given
    item = dict(given)
    for key in ("content", "summary"):
        if isinstance(item.get(key), list):
            item[key] = [_in_order(part, _PART) for part in item[key]]
    return ordered(item, _ITEM)


def _usage(told: Fields) -> Fields:
    return ordered(told, _USAGE)


def _text(asked: Fields) -> Fields:
    return {key: _in_order(value, _FORMAT) for key, value in asked.items()}


def _reasoning(asked: Fields) -> Fields:
    # The events have a null where a whole answer has nothing.
    told = {key: value for key, value in asked.items() if value is not None}
    return ordered(told, ("effort", "summary"))


def _in_order(value: object, order: tuple[str, ...]) -> object:
    return ordered(value, order) if isinstance(value, dict) else value
