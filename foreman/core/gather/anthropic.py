"""`/v1/messages`: a message that is opened, filled block by block, and closed."""

from foreman.core.gather.gathering import Gathering
from foreman.core.gather.kept import Allowance, Text, Values, remember
from foreman.core.gather.lines import Events
from foreman.core.gather.usage import usage_in
from foreman.core.go_json import Fields, fields, integer, ordered, read, text, write

_MESSAGE = ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage")
_BLOCK = (
    *("type", "text", "citations", "source", "id", "name", "input", "tool_use_id", "content"),
    *("is_error", "thinking", "signature"),
)


class MessageGathering(Gathering):
    """One answer of `/v1/messages`."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(Events(limit_bytes), limit_bytes)
        self._message: Fields = {}
        self._told_usage: Fields = {}
        self._blocks: dict[int, _Block] = {}

    def take(self, name: str, said: Fields) -> None:
        kind = text(said.get("type")) or name
        if kind == "message_start":
            self._take_message(fields(said.get("message")))
        elif kind == "content_block_start":
            block = fields(said.get("content_block"))
            self.allowance.spend(len(write(block)))
            self._blocks[_index(said)] = _Block(block, self.allowance)
        elif kind == "content_block_delta" and _index(said) in self._blocks:
            self.pieces += 1
            self._blocks[_index(said)].take(fields(said.get("delta")))
        elif kind == "message_delta":
            self._take_message({**fields(said.get("delta")), "usage": said.get("usage")})
        elif kind == "message_stop":
            self.is_complete = True

    def answer(self) -> Fields:
        if not self.is_complete:
            raise self.cut()
        content = [self._blocks[index].whole() for index in sorted(self._blocks)]
        whole = {**self._message, "content": content, "usage": self._told_usage}
        return ordered(whole, _MESSAGE)

    def _take_message(self, said: Fields) -> None:
        # The first usage is an estimate; the counts of the last event replace it.
        usage = fields(said.pop("usage", None))
        remember(self._told_usage, usage, known=(), allowance=self.allowance)
        self.usage = usage_in({"usage": self._told_usage})
        told = {key: value for key, value in said.items() if value is not None}
        remember(self._message, told, known=_MESSAGE, allowance=self.allowance)


class _Block:
    """One block of content. A delta names what it adds to by its own field."""

    def __init__(self, begun: Fields, allowance: Allowance) -> None:
        self._begun = begun
        self._allowance = allowance
        self._texts: dict[str, Text] = {}
        self._citations = Values(allowance)

    def take(self, delta: Fields) -> None:
        for key, value in delta.items():
            if key == "citation":
                self._citations.extend([value])
            elif key != "type" and isinstance(value, str):
                self._text(key).add(value)

    def whole(self) -> Fields:
        block = dict(self._begun)
        for key, grown in self._texts.items():
            if key == "partial_json":
                # A tool without parameters may come with no letter of its input.
                block["input"] = read(bytes(grown)) if grown else block.get("input")
            else:
                block[key] = text(block.get(key)) + str(grown)
        if self._citations:
            block["citations"] = self._citations.whole()
        return ordered(block, _BLOCK)

    def _text(self, key: str) -> Text:
        if key not in self._texts:
            self._allowance.spend(len(key))
            self._texts[key] = Text(self._allowance)
        return self._texts[key]


def _index(said: Fields) -> int:
    return integer(said.get("index")) or 0
