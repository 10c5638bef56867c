"""What OpenAI's two older dialects share: chunks with choices, their usage, and [DONE]."""

from abc import abstractmethod
from typing import Protocol

from foreman.core.gather.gathering import ErrorInStream, Gathering
from foreman.core.gather.kept import Allowance, Text, Values, remember
from foreman.core.gather.lines import Events
from foreman.core.gather.usage import usage_in
from foreman.core.go_json import Fields, fields, integer, items, ordered

_ORDER = ("id", "object", "created", "model", "system_fingerprint", "choices", "usage")
# An index and brackets of a choice or a call that says nothing yet.
ENTRY_BYTES = 64


class Choice(Protocol):
    """One choice, as it grows."""

    def take(self, said: Fields) -> bool:
        """Take its part of a chunk and say whether it had any of the answer."""
        ...

    def whole(self, index: int) -> Fields:
        """The choice of the whole answer."""
        ...


class Logprobs:
    """The log probabilities of a choice: lists by what they are of (content, refusal, …)."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._lists: dict[str, Values] = {}

    def take(self, said: object) -> None:
        for key, values in fields(said).items():
            if key not in self._lists:
                self._allowance.spend(ENTRY_BYTES + len(key))
                self._lists[key] = Values(self._allowance)
            self._lists[key].extend(values)

    def whole(self) -> Fields:
        """A field for the choice; none when there were no log probabilities."""
        lists = {key: values.whole() for key, values in self._lists.items()}
        return {"logprobs": lists} if lists else {}


class Texts:
    """Some texts by the name of their field, in the order of their first words."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._texts: dict[str, Text] = {}

    def add(self, key: str, piece: object) -> bool:
        if key not in self._texts:
            self._texts[key] = Text(self._allowance)
        return self._texts[key].add(piece)

    def whole(self) -> dict[str, str]:
        """The texts that have words."""
        return {key: str(kept) for key, kept in self._texts.items() if kept}


class ChunkGathering(Gathering):
    """One streamed answer with choices."""

    object_name = ""  # of the whole answer

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(Events(limit_bytes), limit_bytes)
        self._head: Fields = {}
        self._choices: dict[int, Choice] = {}
        self._told_usage: Fields = {}

    @abstractmethod
    def new_choice(self) -> Choice:
        """An empty choice of this dialect."""

    def is_last_word(self, data: bytes) -> bool:
        return data.strip() == b"[DONE]"

    def error_in(self, name: str, said: Fields) -> ErrorInStream | None:
        # What Ollama makes of an error of its runner: a chunk in which even the model is missing.
        if said.get("model") == "":
            return ErrorInStream("the model failed in the middle of its answer")
        return super().error_in(name, said)

    def take(self, name: str, said: Fields) -> None:
        has_words = [self._take_choice(fields(part)) for part in items(said.pop("choices", None))]
        self.pieces += any(has_words)
        usage = fields(said.pop("usage", None))
        if usage:
            self._told_usage = usage
            self.usage = usage_in({"usage": usage})
        remember(self._head, said, known=_ORDER, allowance=self.allowance)

    def answer(self) -> Fields:
        if not self.is_complete:
            raise self.cut()
        choices = [self._choices[index].whole(index) for index in sorted(self._choices)]
        usage = {"usage": self._told_usage} if self._told_usage else {}
        whole = {**self._head, "object": self.object_name, "choices": choices, **usage}
        return ordered(whole, _ORDER)

    def _take_choice(self, said: Fields) -> bool:
        index = integer(said.pop("index", 0)) or 0
        if index not in self._choices:
            self.allowance.spend(ENTRY_BYTES)
            self._choices[index] = self.new_choice()
        return self._choices[index].take(said)
