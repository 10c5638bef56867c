"""`/v1/completions`: chunks with a piece of each choice's text."""

from foreman.core.gather.kept import Allowance, Text, remember
from foreman.core.gather.openai_chunks import Choice, ChunkGathering, Logprobs
from foreman.core.go_json import Fields, ordered

_CHOICE = ("text", "index", "finish_reason", "logprobs")


class CompletionGathering(ChunkGathering):
    """One answer of `/v1/completions`."""

    object_name = "text_completion"

    def new_choice(self) -> Choice:
        return _TextChoice(self.allowance)


class _TextChoice:
    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        self._text, self._logprobs = Text(allowance), Logprobs(allowance)
        self._other: Fields = {"finish_reason": None}

    def take(self, said: Fields) -> bool:
        has_words = self._text.add(said.pop("text", None))
        self._logprobs.take(said.pop("logprobs", None))
        told = {key: value for key, value in said.items() if value is not None}
        remember(self._other, told, known=_CHOICE, allowance=self._allowance)
        return has_words

    def whole(self, index: int) -> Fields:
        choice = {"text": str(self._text), "index": index, **self._other}
        return ordered({**choice, **self._logprobs.whole()}, _CHOICE)
