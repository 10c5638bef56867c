"""Anthropic's dialect: /v1/messages, SSE or one object."""

import secrets
from collections.abc import Iterable
from typing import Any

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.ask import Ask, render_chat
from foreman.simulation.decode import Fields, Refused, folded, image_bytes, read_fields
from foreman.simulation.voice import json_text, sse
from foreman.simulation.wire import go_json

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def error_body(refused: Refused, *, while_reading: bool) -> tuple[bytes, str]:
    kind = _KINDS.get(refused.status, "api_error")
    error = {"type": kind, "message": refused.message}
    request_id = f"req_{secrets.token_hex(12)}"
    body = go_json({"type": "error", "error": error, "request_id": request_id})
    if while_reading:
        return body, "application/json; charset=utf-8"
    return body + b"\n", "application/json"


def read_messages(body: bytes) -> tuple[Ask, int]:
    """The request, and Anthropic's early estimate of its tokens."""
    types = {
        "model": "string",
        "messages": "[]anthropic.MessageParam",
        "max_tokens": "int",
        "stream": "bool",
        "tools": "api.Tools",
        "thinking": "anthropic.ThinkingConfig",
    }
    fields = read_fields(body, struct="anthropic.MessagesRequest", types=types, empty="EOF")
    if not fields.get("model"):
        raise Refused(400, "model is required")
    if fields.get("max_tokens", 0) <= 0:
        raise Refused(400, "max_tokens is required and must be positive")
    if not fields.get("messages"):
        raise Refused(400, "messages is required")
    messages = [folded(message) for message in fields["messages"]]
    lines = [{**m, "content": _text(m.get("content"))} for m in messages]
    system = _text(fields.get("system"))
    before = [{"role": "system", "content": system}] if system else []
    thinking = fields.get("thinking")
    ask = Ask(
        verb="chat",
        model=fields["model"],
        prompt=render_chat(before + lines),
        stream=fields.get("stream", False),
        options={"num_predict": fields["max_tokens"]},
        think=None if thinking is None else thinking.get("type") == "enabled",
        tools=fields.get("tools", ()),
    )
    return ask, _estimate([system, *(str(m.get("role")) + m["content"] for m in lines)])


def _estimate(texts: Iterable[str]) -> int:
    return max(1, sum(map(len, texts)) // 4)


def _text(content: Any) -> str:
    """The text of a message's content; its images must decode."""
    if isinstance(content, str) or content is None:
        return content or ""
    text = ""
    for block in content:
        if block.get("type") == "image":
            image_bytes(block.get("source", {}).get("data"))
        text += str(block.get("text", "")) if block.get("type") == "text" else ""
    return text


class MessagesVoice:
    """A message and its events; blocks are opened and closed as their kind changes."""

    json_type = "application/json"
    stream_type = "text/event-stream"
    stream_headers = {"Cache-Control": "no-cache", "Connection": "keep-alive"}  # noqa: RUF012  # never changed

    def __init__(self, ask: Ask, estimated_tokens: int) -> None:
        self._model = ask.model
        self._estimated_tokens = estimated_tokens
        self._id = f"msg_{secrets.token_hex(12)}"
        self._is_first = True
        self._open = ""  # the kind of the open block
        self._index = 0
        self._called = False

    def word(self, token: str) -> bytes:
        events = self._enter("text", {"type": "text", "text": ""})
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        delta = b'"delta":{"type":"text_delta","text":' + json_text(token) + b"}}\n\n"
        return events + head % self._index + delta

    def thought(self, token: str) -> bytes:
        events = self._enter("thinking", {"type": "thinking", "thinking": ""})
        return events + self._delta({"type": "thinking_delta", "thinking": token})

    def call(self, call: ToolCall) -> bytes:
        self._called = True
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        events = self._enter(f"tool_use {call.id}", block)
        partial = go_json(call.arguments).decode()
        events += self._delta({"type": "input_json_delta", "partial_json": partial})
        return events + self._leave()

    def done(self, answer: Answer) -> bytes:
        events = self._begin() + self._leave()
        usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens}
        delta = {"stop_reason": self._stop_reason(answer.done_reason, self._called)}
        message_delta = {"type": "message_delta", "delta": delta, "usage": usage}
        return events + _event(message_delta) + _event({"type": "message_stop"})

    def broken(self, message: str) -> bytes:
        return b""  # Ollama just stops

    def whole(self, answer: Answer) -> bytes:
        content: list[Fields] = []
        if answer.thinking:
            content.append({"type": "thinking", "thinking": answer.thinking})
        if answer.text:
            content.append({"type": "text", "text": answer.text})
        for call in answer.tool_calls:
            use = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}
            content.append(use)
        usage = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.tokens}
        reason = self._stop_reason(answer.done_reason, bool(answer.tool_calls))
        return go_json({**self._message(content), "stop_reason": reason, "usage": usage}) + b"\n"

    def _stop_reason(self, done_reason: str, has_called: bool) -> str:
        if has_called:
            return "tool_use"
        return {"stop": "end_turn", "length": "max_tokens"}.get(done_reason, "stop_sequence")

    def _message(self, content: list[Fields]) -> Fields:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
        }

    def _begin(self) -> bytes:
        if not self._is_first:
            return b""
        self._is_first = False
        usage = {"input_tokens": self._estimated_tokens, "output_tokens": 0}
        message = {**self._message([]), "usage": usage}
        return _event({"type": "message_start", "message": message})

    def _enter(self, kind: str, block: Fields) -> bytes:
        if self._open == kind:
            return b""
        events = self._begin() + self._leave()
        self._open = kind
        start = {"type": "content_block_start", "index": self._index, "content_block": block}
        return events + _event(start)

    def _leave(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        self._index += 1
        return _event({"type": "content_block_stop", "index": self._index - 1})

    def _delta(self, delta: Fields) -> bytes:
        return _event({"type": "content_block_delta", "index": self._index, "delta": delta})


def _event(data: Fields) -> bytes:
    return sse(data, event=str(data["type"]))
