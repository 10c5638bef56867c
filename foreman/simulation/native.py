"""Ollama's own dialect: /api/chat and /api/generate, NDJSON or one object."""

from typing import Any

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.ask import Ask, keep_alive_s, render_chat, think_value
from foreman.simulation.decode import Fields, Refused, folded, image_bytes, read_fields
from foreman.simulation.voice import json_text
from foreman.simulation.wire import go_json, now_text

JSON = "application/json; charset=utf-8"
_TYPES = {
    "model": "string",
    "stream": "bool",
    "options": "map[string]interface {}",
    "logprobs": "bool",
    "top_logprobs": "int",
    "shift": "bool",
}


def error_body(refused: Refused, *, while_reading: bool) -> tuple[bytes, str]:
    return go_json({"error": refused.message}), JSON


def read_chat(body: bytes) -> Ask:
    types = {**_TYPES, "messages": "[]api.Message", "tools": "api.Tools"}
    fields = read_fields(body, struct="api.ChatRequest", types=types, empty="missing request body")
    messages = [folded(m) for m in fields.get("messages", ()) if isinstance(m, dict)]
    _check_images(image for m in messages for image in m.get("images", ()))
    return Ask(
        verb="chat",
        prompt=render_chat(messages),
        is_empty=not messages,
        tools=fields.get("tools", ()),
        **_common(fields),
    )


def read_generate(body: bytes) -> Ask:
    types = {**_TYPES, "prompt": "string", "raw": "bool"}
    fields = read_fields(
        body, struct="api.GenerateRequest", types=types, empty="missing request body"
    )
    _check_images(fields.get("images", ()))
    prompt, raw = fields.get("prompt", ""), bool(fields.get("raw"))
    if raw and any(fields.get(key) for key in ("template", "system", "context")):
        raise Refused(400, "raw mode does not support template, system, or context")
    messages = [{"role": "system", "content": fields["system"]}] if fields.get("system") else []
    messages.append({"role": "user", "content": prompt})
    return Ask(
        verb="generate",
        prompt=prompt if raw else render_chat(messages),
        is_empty=not prompt,
        has_context=not raw,
        **_common(fields),
    )


def _common(fields: Fields) -> dict[str, Any]:
    top = fields.get("top_logprobs", 0)
    if not 0 <= top <= 20:
        raise Refused(400, "top_logprobs must be between 0 and 20")
    return {
        "model": fields.get("model", ""),
        "stream": fields.get("stream", True),
        "options": fields.get("options", {}),
        "keep_alive_s": keep_alive_s(fields.get("keep_alive")),
        "think": think_value(fields.get("think")),
        "format": fields.get("format"),
        "logprobs": bool(fields.get("logprobs")),
        "top_logprobs": top,
        "shift": fields.get("shift"),
    }


def _check_images(images: Any) -> None:
    for image in images:
        image_bytes(image)


class NativeVoice:
    """A line a token. Lines are glued from parts, for they are written by the ten thousand."""

    json_type = JSON
    stream_type = "application/x-ndjson"
    stream_headers: dict[str, str] = {}  # noqa: RUF012  # never changed

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._head = b'{"model":%b,"created_at":"' % go_json(ask.model)
        opens = b'","message":{"role":"assistant","content":' if ask.verb == "chat" else b""
        self._middle = opens or b'","response":'
        self._tail = (b"}" if ask.verb == "chat" else b"") + b',"done":false'

    def word(self, token: str) -> bytes:
        text = json_text(token)
        line = self._head + now_text().encode() + self._middle + text + self._tail
        if self._ask.logprobs:
            line += b',"logprobs":' + go_json([logprob(token, self._ask.top_logprobs)])
        return line + b"}\n"

    def thought(self, token: str) -> bytes:
        return self._line(Answer(thinking=token))

    def call(self, call: ToolCall) -> bytes:
        return self._line(Answer(tool_calls=(call,)))

    def done(self, answer: Answer) -> bytes:
        said = Answer(**{**vars(answer), "text": "", "thinking": "", "tool_calls": (), "words": ()})
        return self._line(said)

    def broken(self, message: str) -> bytes:
        return go_json({"error": message}) + b"\n"

    def whole(self, answer: Answer) -> bytes:
        return go_json(self._object(answer))

    def _line(self, answer: Answer) -> bytes:
        return go_json(self._object(answer)) + b"\n"

    def _object(self, answer: Answer) -> Fields:
        says = self._message(answer) if self._ask.verb == "chat" else self._response(answer)
        line: Fields = {"model": self._ask.model, "created_at": now_text(), **says}
        line["done"] = bool(answer.done_reason)
        words = answer.words if self._ask.logprobs else ()
        logprobs = {"logprobs": [logprob(word, self._ask.top_logprobs) for word in words]}
        metrics = {
            "total_duration": answer.total_ns,
            "load_duration": answer.load_ns,
            "prompt_eval_count": answer.prompt_tokens,
            "prompt_eval_duration": answer.prompt_ns,
            "eval_count": answer.tokens,
            "eval_duration": answer.eval_ns,
        }
        ending: Fields = {"done_reason": answer.done_reason, "context": answer.context}
        # The log probabilities of a chat stand before the metrics, those of a generation behind.
        ending |= {**logprobs, **metrics} if self._ask.verb == "chat" else {**metrics, **logprobs}
        line.update((key, value) for key, value in ending.items() if value)
        return line

    def _message(self, answer: Answer) -> Fields:
        message: Fields = {"role": "assistant", "content": answer.text}
        if answer.thinking:
            message["thinking"] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "function": {"index": index, "name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(answer.tool_calls)
            ]
        return {"message": message}

    def _response(self, answer: Answer) -> Fields:
        thinking = {"thinking": answer.thinking} if answer.thinking else {}
        return {"response": answer.text, **thinking}


def logprob(token: str, top: int) -> Fields:
    """A token with its probability; the alternatives are as sure as it is."""
    one = {"token": token, "logprob": -0.125, "bytes": list(token.encode())}
    return {**one, "top_logprobs": [one] * top} if top else one
