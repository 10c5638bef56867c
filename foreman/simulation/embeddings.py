"""/api/embed, /api/embeddings and /v1/embeddings: vectors that depend on the text alone."""

import base64
import functools
import math
import random
import struct
import time
from collections.abc import Sequence
from typing import Any

from foreman.simulation.answers import prompt_tokens
from foreman.simulation.ask import check_options, keep_alive_s, runner_options
from foreman.simulation.connection import Exchange
from foreman.simulation.decode import Fields, Refused, read_fields
from foreman.simulation.engine import Engine
from foreman.simulation.library import Model
from foreman.simulation.wire import go_json, quote

JSON = "application/json; charset=utf-8"
NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"
_TYPES = {"model": "string", "options": "map[string]interface {}", "truncate": "bool"}


def read_native(body: bytes) -> Fields:
    empty = "missing request body"
    return read_fields(body, struct="api.EmbedRequest", types=_TYPES, empty=empty)


def embed(engine: Engine, exchange: Exchange, fields: Fields) -> None:
    started = time.perf_counter_ns()
    vectors, tokens, load_ns = _vectors(engine, exchange, fields, _inputs(fields.get("input")))
    answer: Fields = {"model": fields.get("model", ""), "embeddings": vectors}
    if vectors:
        answer["total_duration"] = time.perf_counter_ns() - started
        answer["load_duration"] = load_ns
        answer["prompt_eval_count"] = tokens
    exchange.reply(200, go_json(answer), JSON)


def read_one(body: bytes) -> Fields:
    types, empty = {**_TYPES, "prompt": "string"}, "missing request body"
    fields = read_fields(body, struct="api.EmbeddingRequest", types=types, empty=empty)
    if not fields.get("model"):
        raise Refused(400, "model is required")
    return fields


def embed_one(engine: Engine, exchange: Exchange, fields: Fields) -> None:
    """The older route: one prompt, and float64 digits of a float32."""
    prompts = [fields["prompt"]] if fields.get("prompt") else []
    vectors, _, _ = _vectors(engine, exchange, fields, prompts)
    digits = [struct.unpack("f", struct.pack("f", x))[0] for v in vectors for x in v]
    exchange.reply(200, go_json({"embedding": digits}), JSON)


def read_openai(body: bytes) -> Fields:
    types = {"model": "string", "encoding_format": "string"}
    fields = read_fields(body, struct="openai.EmbedRequest", types=types, empty="EOF")
    if fields.get("input") in (None, "", []):
        raise Refused(400, "invalid input")
    if fields.get("encoding_format", "float").lower() not in ("float", "base64"):
        raise Refused(400, "Invalid value for 'encoding_format'. Supported values: float, base64.")
    return fields


def embed_openai(engine: Engine, exchange: Exchange, fields: Fields) -> None:
    vectors, tokens, _ = _vectors(engine, exchange, fields, _inputs(fields["input"]))
    encode = _packed if fields.get("encoding_format", "").lower() == "base64" else list
    rows = [
        {"object": "embedding", "embedding": encode(vector), "index": index}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    answer = {"object": "list", "data": rows, "model": fields["model"], "usage": usage}
    exchange.reply(200, go_json(answer) + b"\n", "application/json")


def _inputs(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise Refused(400, "invalid input type")
    return texts


def _vectors(
    engine: Engine, exchange: Exchange, fields: Fields, texts: Sequence[str]
) -> tuple[list[Sequence[float]], int, int]:
    """The vectors, their tokens and how long the load took; no texts: the model is only loaded."""
    wanted = fields.get("model", "")
    with engine.recorded(exchange, wanted, event="embedding") as note:
        model = _find_model(engine, wanted)
        note.model = model.label
        keep_alive = keep_alive_s(fields.get("keep_alive"))
        if not texts and keep_alive == 0:
            engine.scheduler.unload(model)
            return [], 0, 0
        check_options(fields.get("options", {}))
        fault = engine.faults.take(exchange.path, wanted, only_loads=not texts)
        engine.strike_before(fault, exchange, note)
        options = runner_options(fields.get("options", {}), None)
        started = time.perf_counter_ns()
        with engine.scheduler.runner(model, options, keep_alive) as runner:
            load_ns = time.perf_counter_ns() - started
            if not texts:
                return [], 0, 0
            with runner.slots.one(), engine.log.running(note):
                if fault is not None:
                    fault.hold()
                tokens = _checked_tokens(model, texts, fields, int(str(options["num_ctx"])))
                note.ended, note.tokens = "done", tokens
                length = int(fields.get("dimensions") or model.embedding_length)
                return [vector(text, length) for text in texts], tokens, load_ns


def _find_model(engine: Engine, name: str) -> Model:
    if not name:
        raise Refused(404, "model '' not found")
    model = engine.library.find(name)
    if model is None:
        raise Refused(404, f"model {quote(name)} not found, try pulling it first")
    return model


def _checked_tokens(model: Model, texts: Sequence[str], fields: Fields, num_ctx: int) -> int:
    if "embedding" not in model.capabilities:
        raise Refused(501, NO_EMBEDDINGS)
    counts = [prompt_tokens(text) for text in texts]
    if fields.get("truncate") is False and max(counts) > num_ctx:
        raise Refused(400, "the input length exceeds the context length")
    return sum(min(count, num_ctx) for count in counts)


@functools.lru_cache(maxsize=1024)
def vector(text: str, length: int) -> tuple[float, ...]:
    """A unit vector; the same text has the same one, in every process."""
    source = random.Random(text)
    values = [source.gauss(0, 1) for _ in range(length)]
    norm = math.sqrt(sum(value * value for value in values))
    return tuple(round(value / norm, 8) for value in values)


def _packed(values: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
