"""OpenAI's dialect, spoken: chat and text completions, SSE or one object."""

import time

from foreman.simulation.answers import Answer, ToolCall
from foreman.simulation.ask import Ask
from foreman.simulation.decode import Fields
from foreman.simulation.native import logprob
from foreman.simulation.voice import json_text, short_id, sse
from foreman.simulation.wire import go_json


def usage(answer: Answer) -> Fields:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
    }


def tool_calls(calls: tuple[ToolCall, ...]) -> list[Fields]:
    return [
        {
            "id": call.id,
            "index": index,
            "type": "function",
            "function": {"name": call.name, "arguments": go_json(call.arguments).decode()},
        }
        for index, call in enumerate(calls)
    ]


class ChatVoice:
    """chat.completion and its chunks."""

    json_type = "application/json"
    stream_type = "text/event-stream"
    stream_headers: dict[str, str] = {}  # noqa: RUF012  # never changed

    def __init__(self, ask: Ask, *, wants_usage: bool = False) -> None:
        self._ask = ask
        self._id = f"chatcmpl-{short_id()}"
        self._wants_usage = wants_usage
        self._is_first = True
        self._called = False

    def word(self, token: str) -> bytes:
        if self._is_first or self._ask.logprobs:
            return self._delta({"content": token}, words=(token,))
        head = b'data: {"id":"%b","object":"chat.completion.chunk","created":%d,"model":%b,' % (
            self._id.encode(),
            int(time.time()),
            json_text(self._ask.model),
        )
        choice = b'"system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"content":'
        return head + choice + json_text(token) + b'},"finish_reason":null}]}\n\n'

    def thought(self, token: str) -> bytes:
        return self._delta({"reasoning": token})

    def call(self, call: ToolCall) -> bytes:
        self._called = True
        return self._delta({"tool_calls": tool_calls((call,))})

    def done(self, answer: Answer) -> bytes:
        reason = "tool_calls" if self._called else answer.done_reason
        events = self._chunk([{"index": 0, "delta": {}, "finish_reason": reason}])
        if self._wants_usage:
            events += self._chunk([], usage=usage(answer))
        return events + b"data: [DONE]\n\n"

    def broken(self, message: str) -> bytes:
        # Ollama swallows the error: a chunk with nothing in it, and no [DONE].
        return self._chunk([{"index": 0, "delta": {}, "finish_reason": None}], model="")

    def whole(self, answer: Answer) -> bytes:
        message: Fields = {"role": "assistant", "content": answer.text}
        if answer.thinking:
            message["reasoning"] = answer.thinking
        if answer.tool_calls:
            message["tool_calls"] = tool_calls(answer.tool_calls)
        reason = "tool_calls" if answer.tool_calls else answer.done_reason
        choice = {"index": 0, "message": message, "finish_reason": reason}
        choice |= self._logprobs(answer.words)
        head = self._head("chat.completion", self._ask.model)
        return go_json({**head, "choices": [choice], "usage": usage(answer)}) + b"\n"

    def _delta(self, delta: Fields, words: tuple[str, ...] = ()) -> bytes:
        if self._is_first:
            self._is_first = False
            delta = {"role": "assistant", **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return self._chunk([choice | self._logprobs(words)])

    def _logprobs(self, words: tuple[str, ...]) -> Fields:
        if not self._ask.logprobs or not words:
            return {}
        return {"logprobs": {"content": [logprob(w, self._ask.top_logprobs) for w in words]}}

    def _chunk(self, choices: list[Fields], model: str | None = None, **more: object) -> bytes:
        head = self._head("chat.completion.chunk", self._ask.model if model is None else model)
        return sse({**head, "choices": choices, **more})

    def _head(self, kind: str, model: str) -> Fields:
        return {
            "id": self._id,
            "object": kind,
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama",
        }


class CompletionVoice(ChatVoice):
    """text_completion and its chunks."""

    def __init__(self, ask: Ask, *, wants_usage: bool = False) -> None:
        super().__init__(ask, wants_usage=wants_usage)
        self._id = f"cmpl-{short_id()}"

    def word(self, token: str) -> bytes:
        return self._piece(token, None)

    def thought(self, token: str) -> bytes:
        return self._piece("", None)

    def done(self, answer: Answer) -> bytes:
        events = self._piece("", answer.done_reason)
        if self._wants_usage:
            events += sse(self._object([], usage=usage(answer)))
        return events + b"data: [DONE]\n\n"

    def broken(self, message: str) -> bytes:
        return self._piece("", None, model="")

    def whole(self, answer: Answer) -> bytes:
        head = self._head("text_completion", self._ask.model)
        choice = {"text": answer.text, "index": 0, "finish_reason": answer.done_reason}
        return go_json({**head, "choices": [choice], "usage": usage(answer)}) + b"\n"

    def _piece(self, text: str, reason: str | None, model: str | None = None) -> bytes:
        choice = {"text": text, "index": 0, "finish_reason": reason}
        # Whoever asks for the usage gets one without any tokens in every chunk before the last.
        nothing = {"usage": usage(Answer())} if self._wants_usage else {}
        return sse(self._object([choice], model, **nothing))

    def _object(self, choices: list[Fields], model: str | None = None, **more: object) -> Fields:
        head = self._head("text_completion", self._ask.model if model is None else model)
        first = {key: head[key] for key in ("id", "object", "created")}
        return {**first, "choices": choices, **head, **more}
