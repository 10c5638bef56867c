"""The parts of a response of /v1/responses: what it says, what it cost, what it repeats."""

from typing import Any

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.completions import tool_calls
from foreman.simulation.decode import Fields


def as_map(value: Any) -> Any:
    """The value as Go writes a map; a schema is kept as the text that it came as."""
    if isinstance(value, list):
        return [as_map(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: value[key] if key == "schema" else as_map(value[key]) for key in sorted(value)}


def repeated_tool(tool: Fields) -> Fields:
    """A tool as it is repeated: all its fields, and its parameters are a map again."""
    names = ("name", "description", "strict")
    known = {"type": tool.get("type"), **{name: tool.get(name) for name in names}}
    return {**known, "parameters": as_map(tool.get("parameters"))}


def repeated_format(asked: Fields | None) -> Fields:
    """The form that was asked for, in its own order of fields."""
    names = ("type", "name", "schema", "strict")
    return {name: asked[name] for name in names if name in asked} if asked else {"type": "text"}


def repeated_reasoning(asked: Fields | None, *, is_event: bool) -> Fields | None:
    """What was asked; the events say null of what was not, a whole answer is silent."""
    named = {name: (asked or {}).get(name) for name in ("effort", "summary")}
    told = {name: value for name, value in named.items() if value or is_event}
    return told if any(named.values()) else None


def usage_of(answer: Answer) -> Fields:
    return {
        "input_tokens": answer.prompt_tokens,
        "output_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }


def part(text: str) -> Fields:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def message_item(item_id: str, text: str) -> Fields:
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part(text)],
    }


def reasoning_item(item_id: str, text: str) -> Fields:
    summary = [{"type": "summary_text", "text": text}]
    return {"id": item_id, "type": "reasoning", "summary": summary, "encrypted_content": text}


def call_item(call: ToolCall, item_id: str) -> Fields:
    function = tool_calls((call,))[0]["function"]
    return {
        "id": item_id,
        "type": "function_call",
        "status": "completed",
        "call_id": call.id,
        "name": function["name"],
        "arguments": function["arguments"],
    }
