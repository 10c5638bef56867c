"""OpenAI's dialect, read: /v1/chat/completions and /v1/completions; `completions` speaks it."""

import re
from typing import Any

from foreman.simulation.ask import Ask, render_chat
from foreman.simulation.decode import Fields, Refused, folded, image_bytes, read_fields
from foreman.simulation.wire import go_json

_KINDS = {400: "invalid_request_error", 404: "not_found_error"}
_OPTIONS = ("temperature", "seed", "top_p", "frequency_penalty", "presence_penalty", "stop")
_COMPLETION = {
    "model": "string",
    "prompt": "string",
    "stream": "bool",
    "stream_options": "openai.StreamOptions",
    "max_tokens": "int",
    "temperature": "float64",
}
_CHAT = {
    **_COMPLETION,
    "messages": "[]openai.Message",
    "tools": "api.Tools",
    "reasoning": "openai.Reasoning",
    "response_format": "openai.ResponseFormat",
    "top_logprobs": "int",
}
_IMAGE = re.compile(r"data:(image/(jpeg|jpg|png|webp))?;base64,")


def error_body(refused: Refused, *, while_reading: bool) -> tuple[bytes, str]:
    """What the reading middleware refuses has another content type and no newline."""
    kind = _KINDS.get(refused.status, "api_error")
    error = {"message": refused.message, "type": kind, "param": None, "code": None}
    body = go_json({"error": error})
    if while_reading:
        return body, "application/json; charset=utf-8"
    return body + b"\n", "application/json"


def read_chat(body: bytes) -> Ask:
    fields = read_fields(body, struct="openai.ChatCompletionRequest", types=_CHAT, empty="EOF")
    if not fields.get("messages"):
        raise Refused(400, "[] is too short - 'messages'")
    messages = [_message(folded(m)) for m in fields["messages"] if isinstance(m, dict)]
    effort = fields.get("reasoning", {}).get("effort") or fields.get("reasoning_effort")
    return Ask(
        verb="chat",
        model=fields.get("model", ""),
        prompt=render_chat(messages),
        stream=fields.get("stream", False),
        options=_options(fields, "max_tokens"),
        think=_think(effort),
        tools=fields.get("tools", ()),
        format=_format(fields.get("response_format")),
        logprobs=bool(fields.get("logprobs")),
        top_logprobs=int(fields.get("top_logprobs", 0)),
    )


def read_completion(body: bytes) -> Ask:
    fields = read_fields(body, struct="openai.CompletionRequest", types=_COMPLETION, empty="EOF")
    prompt = fields.get("prompt", "")
    return Ask(
        verb="generate",
        model=fields.get("model", ""),
        prompt=render_chat([{"role": "user", "content": prompt}]),
        is_empty=not prompt,
        stream=fields.get("stream", False),
        options=_options(fields, "max_tokens"),
    )


def wants_usage(body: bytes) -> bool:
    fields = read_fields(body, struct="openai.ChatCompletionRequest", types={}, empty="EOF")
    return bool((fields.get("stream_options") or {}).get("include_usage"))


def _options(fields: Fields, limit: str) -> Fields:
    options = {key: fields[key] for key in _OPTIONS if key in fields}
    if isinstance(options.get("stop"), str):
        options["stop"] = [options["stop"]]
    if limit in fields:
        options["num_predict"] = fields[limit]
    return options


def _think(effort: object) -> bool | None:
    if effort is None:
        return None
    if effort not in ("high", "medium", "low", "max", "none"):
        allowed = '(must be "high", "medium", "low", "max", or "none")'
        raise Refused(400, f"invalid reasoning value: '{effort}' {allowed}")
    return effort != "none"


def _format(response_format: Any) -> Any:
    kind = (response_format or {}).get("type")
    if kind == "json_object":
        return "json"
    return response_format.get("json_schema", {}).get("schema") if kind == "json_schema" else None


def _message(message: Fields) -> Fields:
    content = message.get("content")
    if isinstance(content, list):
        return {**message, "content": "".join(_part(part) for part in content)}
    if not isinstance(content, str) and "tool_calls" not in message:
        kind = {"NoneType": "<nil>", "int": "float64"}.get(type(content).__name__, "bool")
        raise Refused(400, f"invalid message content type: {kind}")
    return message


def _part(part: Any) -> str:
    """The text of one part; an image must be a data URL."""
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind != "image_url":
        raise Refused(400, "invalid message format")
    image = part["image_url"]
    url = str(image.get("url", "") if isinstance(image, dict) else image)
    match = _IMAGE.match(url)
    if not match:
        raise Refused(400, "invalid image input")
    image_bytes(url[match.end() :])
    return ""
