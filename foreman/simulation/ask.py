"""A generation request once its dialect is taken off, and Ollama's checks of what it may say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from foreman.simulation.decode import Refused
from foreman.simulation.library import Model
from foreman.simulation.wire import duration_s, quote

# What a runner is started with; another value means another load of the same model.
RUNNER_DEFAULTS: dict[str, object] = {
    "num_ctx": 4096,
    "num_batch": 512,
    "num_gpu": -1,
    "main_gpu": 0,
    "use_mmap": None,
    "num_thread": 0,
    "draft_num_predict": 0,
    "shift": True,
}
_TYPES = {
    "integer": "num_keep seed num_predict top_k repeat_last_n num_ctx num_batch num_gpu main_gpu "
    "num_thread draft_num_predict",
    "float32": "top_p min_p typical_p temperature repeat_penalty presence_penalty "
    "frequency_penalty",
    "array": "stop",
    "boolean": "use_mmap",
}
_OPTION_TYPES = {name: kind for kind, names in _TYPES.items() for name in names.split()}
FOREVER = math.inf


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is to be generated. `keep_alive_s` None: leave it as it is."""

    model: str  # as the caller wrote it; the answer repeats it
    verb: str  # chat or generate: what the model must be able to do
    prompt: str = ""  # the rendered one; its length makes the token count
    is_empty: bool = False  # no prompt, no messages: load or unload
    stream: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive_s: float | None = None
    think: bool | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    format: Any = None
    logprobs: bool = False
    top_logprobs: int = 0
    shift: bool | None = None
    has_context: bool = False  # the last line tells the tokens (generate, not raw)


def render_chat(messages: Sequence[Mapping[str, Any]]) -> str:
    """The recorded models' template."""
    lines = (f"{m.get('role', '')}: {m.get('content', '')}\n" for m in messages)
    return "".join(lines) + "assistant:"


def keep_alive_s(value: object) -> float | None:
    """Seconds, FOREVER for any negative number, None for no opinion."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refused(400, f"Unsupported type: '{type(value).__name__}'")
    try:
        seconds = duration_s(value) if isinstance(value, str) else float(value)
    except ValueError as exc:
        raise Refused(400, str(exc)) from exc
    return FOREVER if seconds < 0 else seconds


def think_value(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if value in ("low", "medium", "high", "max"):
        return True
    if isinstance(value, str):
        allowed = '(must be "high", "medium", "low", "max", true, or false)'
        raise Refused(400, f"invalid think value: {quote(value)} {allowed}")
    raise Refused(400, "think must be a boolean or string")


def check_capabilities(ask: Ask, model: Model) -> None:
    """Refuse what this model cannot do, in the order in which Ollama looks."""
    if "completion" not in model.capabilities:
        raise Refused(400, f"{quote(ask.model)} does not support {ask.verb}")
    if ask.tools and "tools" not in model.capabilities:
        raise Refused(400, f"{model.name.full} does not support tools")
    if ask.think and "thinking" not in model.capabilities:
        raise Refused(400, f"{quote(ask.model)} does not support thinking")


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse an option of a wrong type; an unknown one is nobody's business."""
    for name, value in options.items():
        wanted = _OPTION_TYPES.get(name)
        if value is not None and wanted and not _fits(value, wanted):
            raise Refused(500, f"option {quote(name)} must be of type {wanted}")


def check_format(value: object) -> None:
    if value in (None, "", "json") or isinstance(value, dict):
        return
    raise Refused(500, f'invalid format: {quote(str(value))}; expected "json" or a JSON schema')


def runner_options(options: Mapping[str, Any], shift: bool | None) -> dict[str, object]:
    """All options that a runner is started with, defaults filled in."""
    asked = {name: options[name] for name in RUNNER_DEFAULTS if options.get(name) is not None}
    if shift is not None:
        asked["shift"] = shift
    return {**RUNNER_DEFAULTS, **asked}


def _fits(value: object, wanted: str) -> bool:
    if wanted == "boolean" or isinstance(value, bool):
        return isinstance(value, bool) and wanted == "boolean"
    return isinstance(value, list) if wanted == "array" else isinstance(value, (int, float))
