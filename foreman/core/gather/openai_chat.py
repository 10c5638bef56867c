"""`/v1/chat/completions`: chunks with a delta of each choice's message."""

from foreman.core.gather.kept import Allowance, Text, remember
from foreman.core.gather.openai_chunks import ENTRY_BYTES, Choice, ChunkGathering, Logprobs, Texts
from foreman.core.go_json import Fields, fields, integer, items, ordered, text, write

_MESSAGE = ("role", "content", "reasoning", "tool_calls", "name", "tool_call_id")
_CHOICE = ("index", "message", "finish_reason", "logprobs")
# What grows letter by letter; any other field of a delta is said at once.
_TEXTS = ("content", "reasoning", "reasoning_content", "refusal")


class ChatGathering(ChunkGathering):
    """One answer of `/v1/chat/completions`."""

    object_name = "chat.completion"

    def new_choice(self) -> Choice:
        return _ChatChoice(self.allowance)


class _ChatChoice:
    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._texts, self._logprobs = Texts(allowance), Logprobs(allowance)
        self._calls = _ToolCalls(allowance)
        self._images: list[object] = []
        self._message: Fields = {}
        self._other: Fields = {"finish_reason": None}

    def take(self, said: Fields) -> bool:
        delta = fields(said.pop("delta", None))
        has_words = [self._texts.add(key, delta.pop(key, None)) for key in _TEXTS]
        has_words += [self._calls.take(call) for call in items(delta.pop("tool_calls", None))]
        has_words += [self._take_images(items(delta.pop("images", None)))]
        remember(self._message, delta, known=_MESSAGE, allowance=self._allowance)
        self._logprobs.take(said.pop("logprobs", None))
        # A null says nothing: the reason stays once it is given.
        told = {key: value for key, value in said.items() if value is not None}
        remember(self._other, told, known=_CHOICE, allowance=self._allowance)
        return any(has_words)

    def whole(self, index: int) -> Fields:
        message: Fields = {"role": "assistant", "content": "", **self._message}
        message |= self._texts.whole()
        message |= {"images": self._images} if self._images else {}
        calls = self._calls.whole()
        message |= {"tool_calls": calls} if calls else {}
        choice = {"index": index, "message": ordered(message, _MESSAGE), **self._other}
        return ordered({**choice, **self._logprobs.whole()}, _CHOICE)

    def _take_images(self, images: list[object]) -> bool:
        self._allowance.spend(sum(len(write(image)) + 1 for image in images))
        self._images += images
        return bool(images)


class _ToolCall:
    """One call: its arguments may come in parts, the rest comes once."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._call: Fields = {}
        self._function: Fields = {}
        self._arguments = Text(allowance)

    @property
    def id(self) -> str:
        return text(self._call.get("id"))

    def take(self, said: Fields) -> None:
        function = fields(said.pop("function", None))
        self._arguments.add(function.pop("arguments", None))
        remember(self._function, function, known=(), allowance=self._allowance)
        remember(self._call, said, known=(), allowance=self._allowance)

    def whole(self) -> Fields:
        function = {**self._function, "arguments": str(self._arguments)}
        call = {**self._call, "function": ordered(function, ("name", "arguments"))}
        return ordered(call, ("id", "index", "type", "function"))


class _ToolCalls:
    """The calls of a message, in the order of their first parts."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._calls: list[_ToolCall] = []
        self._open: dict[int, _ToolCall] = {}

    def take(self, part: object) -> bool:
        said = fields(part)
        index = integer(said.get("index")) or 0
        call = self._open.get(index)
        # Ollama sends every call whole, OpenAI in parts of which the first alone has an id. So
        # another id at the same index is another call.
        if call is None or text(said.get("id")) not in ("", call.id):
            self._allowance.spend(ENTRY_BYTES)
            call = self._open[index] = _ToolCall(self._allowance)
            self._calls.append(call)
        call.take(said)
        return True

    def whole(self) -> list[object]:
        return [call.whole() for call in self._calls]
