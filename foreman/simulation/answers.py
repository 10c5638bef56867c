"""What a model says: the same words to everybody, cut and dressed as the request asks.

The recorded models have a token for every character of a prompt; `token_ids` and `prompt_tokens`
count as theirs do.
"""

import itertools
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from foreman.simulation import recorded
from foreman.simulation.ask import Ask
from foreman.simulation.library import Model

ANSWER = tuple(f" {word}" for word in recorded.ANSWER.split())
THOUGHTS = ("Let", " me", " think", " about", " it", ".")
# Ids of the recorded vocabulary: printable ASCII, then raw bytes.
_ASCII_OFFSET, _BYTE_OFFSET = 227, 3


@dataclass(frozen=True)
class ToolCall:
    """A call of the first tool that was offered."""

    id: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What will be said, in order: thoughts, then words or a call."""

    thoughts: tuple[str, ...]
    words: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    done_reason: str

    @property
    def size(self) -> int:
        """Pieces of it; a tool call counts as one."""
        return len(self.thoughts) + len(self.words) + len(self.tool_calls)

    @property
    def tokens(self) -> int:
        """What the model generates: an answer that is not cut has a token that ends it."""
        return self.size + (self.done_reason == "stop")


@dataclass(kw_only=True)
class Answer:
    """What was said, and how long it took (ns); the last line of a stream and a whole answer."""

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    words: tuple[str, ...] = ()
    done_reason: str = ""
    prompt_tokens: int = 0
    tokens: int = 0
    total_ns: int = 0
    load_ns: int = 0
    prompt_ns: int = 0
    eval_ns: int = 0
    context: list[int] = field(default_factory=list)


def plan_answer(ask: Ask, model: Model, tokens: int) -> Plan:
    """Decide all of an answer before its first token."""
    # A model that can think does so unless it is told not to.
    thinks = "thinking" in model.capabilities and ask.think is not False
    thoughts = THOUGHTS if thinks else ()
    calls = (call_tool(ask.tools[0]),) if ask.tools else ()
    words = () if calls else _words(ask, tokens)
    limit = _limit(ask)
    total = len(thoughts) + len(words) + len(calls)
    if limit is None or limit > total:
        return Plan(thoughts, words, calls, "stop")
    kept = thoughts[:limit]
    left = limit - len(kept)
    return Plan(kept, words[:left], calls[:left], "length")


def call_tool(tool: Mapping[str, Any]) -> ToolCall:
    function = tool.get("function") or tool
    schema = function.get("parameters") or function.get("input_schema") or {}
    return ToolCall(f"call_{uuid.uuid4().hex[:8]}", str(function.get("name", "")), sample(schema))


def sample(schema: Any) -> Any:
    """A value that a JSON schema allows (of the simple schemas that tests use)."""
    if not isinstance(schema, Mapping):
        return {}
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    simple = {"string": "blue", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    if kind == "array":
        return [sample(schema.get("items") or {"type": "string"})]
    if isinstance(kind, str) and kind in simple:
        return simple[kind]
    return {key: sample(value) for key, value in (schema.get("properties") or {}).items()}


def prompt_tokens(prompt: str) -> int:
    """A token a character, one for the begin of the text and one for the leading space."""
    return len(prompt.encode()) + 2


def token_ids(text: str) -> list[int]:
    """The recorded models' ids for `text`."""
    return [
        byte + (_ASCII_OFFSET if 32 <= byte < 127 else _BYTE_OFFSET)
        for byte in text.encode("utf-8", "replace")
    ]


def _words(ask: Ask, tokens: int) -> tuple[str, ...]:
    if ask.format in (None, ""):
        return tuple(itertools.islice(itertools.cycle(ANSWER), tokens - 1))
    value = sample(ask.format) if ask.format != "json" else {"answer": "".join(ANSWER).strip()}
    return tuple(re.findall(r"\s*[^\s]+", json.dumps(value)))


def _limit(ask: Ask) -> int | None:
    limit = ask.options.get("num_predict")
    return int(limit) if isinstance(limit, (int, float)) and limit > 0 else None
