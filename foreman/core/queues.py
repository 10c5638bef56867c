"""From a request to its model queue: the model's name, its residency, the queue's name.

The rules are Ollama's own (types/model/name.go, server/sched.go of 0.33): which names mean the same
model, and which options make it load the model again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote
from uuid import UUID

QUEUE_PREFIX = "model."
# AMQP allows 255 bytes; what is longer keeps its start and gets a hash.
_QUEUE_NAME_LIMIT = 200

# A different value of one of these makes Ollama unload and load the model again.
RUNNER_OPTIONS = frozenset(
    {
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "use_mmap",
        "num_thread",
        "draft_num_predict",
    }
)

_DEFAULT_HOST, _DEFAULT_NAMESPACE, _DEFAULT_TAG = "registry.ollama.ai", "library", "latest"
_PART = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,79}")
_NAMESPACE = re.compile(r"[a-z0-9_][a-z0-9_-]{0,79}")
# What Go's TrimSpace trims; Python's strip would trim more.
_GO_SPACE = " \t\n\v\f\r\x85\xa0"
_HOST = re.compile(r"[a-z0-9_][a-z0-9_.:-]{0,349}")


class JobClass(StrEnum):
    """How long a job is willing to wait; each class of a residency has a queue of its own."""

    INTERACTIVE = "interactive"  # somebody waits for it
    BATCH = "batch"


_BATCH_MARK = "~batch"
_TARGET_MARK = "~at~"
_CELERY_NAME_LIMIT = 255


def class_queue(queue: str, job_class: JobClass, pinned_target: str | None = None) -> str:
    """The Celery queue of one class of the residency whose model queue is `queue`.

    Jobs that only one target may run have a queue of their own: no other one listens to it.
    """
    name = queue + _BATCH_MARK if job_class is JobClass.BATCH else queue
    if pinned_target is None:
        return name
    pinned = name + _TARGET_MARK + quote(pinned_target, safe="-._")
    is_short = len(pinned) <= _CELERY_NAME_LIMIT
    return pinned if is_short else name + _TARGET_MARK + _digest(pinned_target)


def residency_queue(name: str) -> str:
    """The model queue of the residency that a Celery queue belongs to: `class_queue` undone."""
    return name.partition(_TARGET_MARK)[0].removesuffix(_BATCH_MARK)


@dataclass(frozen=True, slots=True)
class Residency:
    """What a target has loaded and a swap replaces: a model with its runner options."""

    model: str  # canonical name, see `canonical_name`
    options: str = ""  # canonical JSON of the runner options in the request; "" for none

    @property
    def queue(self) -> str:
        """The Celery queue of this residency, safe on every broker."""
        name = QUEUE_PREFIX + quote(self.model, safe="-._")  # no "~": it marks what was added
        if self.options:
            name += "~" + _digest(self.options)
        if len(name) > _QUEUE_NAME_LIMIT:
            whole = _digest(self.model + self.options)
            name = name[: _QUEUE_NAME_LIMIT - len(whole) - 2] + "~~" + whole
        return name


def queue_model(queue: str) -> str | None:
    """The canonical model of a residency's queue; None where the name was too long to keep it."""
    if "~~" in queue:
        return None
    return unquote(residency_queue(queue).removeprefix(QUEUE_PREFIX).partition("~")[0])


@dataclass(frozen=True, slots=True)
class Wakeup:
    """The message that a job waits in a model queue, and who listens for its frames."""

    job_id: UUID
    queue: str
    model: str
    web_id: UUID | None


def residency_of(
    model: str, runner_options: Mapping[str, object], *, num_ctx: int | None = None
) -> Residency:
    """The residency of a request for the canonical `model` with these runner options.

    `num_ctx` is the context that the targets give to a request that names none, where it is known
    (FOREMAN_NUM_CTX): naming it is then the same as naming none, as below /v1 nobody can.
    """
    options = {name: _plain(value) for name, value in runner_options.items()}
    # The one value that Ollama itself takes for "as it is".
    if options.get("num_gpu") == -1:
        del options["num_gpu"]
    if num_ctx is not None and options.get("num_ctx") == num_ctx:
        del options["num_ctx"]
    if not options:
        return Residency(model)
    return Residency(model, json.dumps(options, sort_keys=True, separators=(",", ":")))


def _plain(value: object) -> object:
    """One spelling a number: 4096.0 and 4.096e3 are 4096 to Ollama."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def canonical_name(name: str) -> str | None:
    """Reduce a model's name to the one spelling that all its spellings share.

    None when Ollama would call the name invalid. `M`, `m:latest`, `library/m` and
    `registry.ollama.ai/library/m:latest` all become `m:latest`.
    """
    text = name.strip(_GO_SPACE)
    if not text.isascii():
        return None
    text = text.lower().rpartition("://")[2].removesuffix(":local")
    if text.endswith(":local"):
        return None
    head, slash, last = text.rpartition("/")
    model, colon, tag = last.partition(":")
    parts = head.split("/") if slash else []
    if len(parts) > 2 or (colon and not tag):
        return None
    namespace = parts[-1] if parts else _DEFAULT_NAMESPACE
    host = parts[0] if len(parts) == 2 else _DEFAULT_HOST
    tag = tag or _DEFAULT_TAG
    if not (
        _PART.fullmatch(model)
        and _PART.fullmatch(tag)
        and _NAMESPACE.fullmatch(namespace)
        and _HOST.fullmatch(host)
    ):
        return None
    if host != _DEFAULT_HOST:
        return f"{host}/{namespace}/{model}:{tag}"
    if namespace != _DEFAULT_NAMESPACE:
        return f"{namespace}/{model}:{tag}"
    return f"{model}:{tag}"


def is_cloud_name(name: str) -> bool:
    """Whether the name asks for a model that runs elsewhere and needs no GPU of ours."""
    tag = name.strip(_GO_SPACE).lower().rpartition("/")[2].partition(":")[2]
    return tag == "cloud" or tag.endswith("-cloud")


def model_names(text: str) -> tuple[str, ...]:
    """Parse `a,b:tag`: names of targets' own models, as canonical ones, each once."""
    names = [each.strip() for each in text.split(",") if each.strip()]
    return tuple(dict.fromkeys(_own_model(name) for name in names))


def _own_model(text: str) -> str:
    name = canonical_name(text)
    if name is None:
        raise ValueError(f"{text} is no name of a model")
    if is_cloud_name(text):
        raise ValueError(f"{text} runs elsewhere and is never loaded here")
    return name


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
