"""Ollama's own dialect: NDJSON of `/api/chat` and `/api/generate`.

As Ollama puts a whole answer together: its last line, with the words, thoughts, calls and log
probabilities of all lines. A stream that ends without `done:true` is legal: Ollama stops so when
a token repeats for too long.
"""

from foreman.core.gather.gathering import Gathering
from foreman.core.gather.kept import Text, Values, remember
from foreman.core.gather.lines import Lines
from foreman.core.gather.usage import usage_in
from foreman.core.go_json import Fields, fields, items, ordered, write

_HEAD = ("model", "remote_model", "remote_host", "created_at")
_METRICS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
_CHAT = (*_HEAD, "message", "done", "done_reason", "_debug_info", "logprobs", *_METRICS)
_GENERATE = (
    *(*_HEAD, "response", "thinking", "done", "done_reason", "context"),
    *(*_METRICS, "images", "tool_calls", "_debug_info", "logprobs", "image"),
)
_MESSAGE = ("role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id")
# How far an image has come: of its line, not of the answer.
_PROGRESS = ("completed", "total")
_KNOWN = frozenset((*_CHAT, *_GENERATE, *_PROGRESS))


class NativeGathering(Gathering):
    """One answer of `/api/chat`, or of `/api/generate`."""

    ending = b""

    def __init__(self, limit_bytes: int, *, is_chat: bool) -> None:
        super().__init__(Lines(limit_bytes), limit_bytes)
        self._is_chat = is_chat
        self._text_key = "content" if is_chat else "response"
        self._has_line = False
        self._last: Fields = {}
        self._message: Fields = {}
        self._text, self._thinking = Text(self.allowance), Text(self.allowance)
        self._calls, self._logprobs = Values(self.allowance), Values(self.allowance)
        self._images: list[object] = []

    def take(self, name: str, said: Fields) -> None:
        self._has_line = True
        message = fields(said.pop("message", None)) if self._is_chat else said
        self.pieces += self._take_words(message) or "completed" in said
        self._logprobs.extend(said.pop("logprobs", None))
        if self._is_chat:
            remember(self._message, message, known=_MESSAGE, allowance=self.allowance)
        for key in _PROGRESS:
            self._last.pop(key, None)
        remember(self._last, said, known=_KNOWN, allowance=self.allowance)
        if said.get("done") is True:
            self.is_complete = True
            self.usage = usage_in(self._last)

    def answer(self) -> Fields:
        if not self._has_line:
            raise self.cut()
        words: Fields = {self._text_key: str(self._text)}
        words |= {"thinking": str(self._thinking)} if self._thinking else {}
        words |= {"images": self._images} if self._images else {}
        words |= {"tool_calls": self._calls.whole()} if self._calls else {}
        logprobs = {"logprobs": self._logprobs.whole()} if self._logprobs else {}
        if not self._is_chat:
            return ordered({**self._last, **words, **logprobs}, _GENERATE)
        message = ordered({**self._message, **words}, _MESSAGE)
        return ordered({**self._last, "message": message, **logprobs}, _CHAT)

    def _take_words(self, message: Fields) -> bool:
        """Take what grows out of a line, and say whether it had any of it."""
        has_text = self._text.add(message.pop(self._text_key, None))
        has_thought = self._thinking.add(message.pop("thinking", None))
        has_calls = self._calls.extend(message.pop("tool_calls", None))
        images = items(message.pop("images", None))
        self.allowance.spend(sum(len(write(image)) + 1 for image in images))
        self._images += images
        return has_text or has_thought or has_calls or bool(images)
