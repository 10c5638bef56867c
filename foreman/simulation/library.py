"""The models a server has on its disk: found by name, listed, copied, deleted, made."""

import dataclasses
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foreman.simulation import recorded
from foreman.simulation.config import ModelSpec
from foreman.simulation.names import Name, parse_name
from foreman.simulation.wire import now_text


@dataclass(frozen=True, kw_only=True)
class Model:
    """One name on the disk. Two names with one digest share a runner."""

    name: Name
    size_bytes: int
    digest: str
    modified_at: str
    capabilities: tuple[str, ...]
    parameter_size: str = "429K"
    embedding_length: int = 128

    @property
    def label(self) -> str:
        """The name in the log and the state: without `:latest`."""
        return self.name.short.removesuffix(":latest")

    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": self.parameter_size,
            "quantization_level": "unknown",
        }


class Library:
    """Models by the key of their name, in the order in which lists show equals."""

    def __init__(self, specs: Sequence[ModelSpec], extra: Sequence[ModelSpec] = ()) -> None:
        models = [_from_spec(spec) for spec in specs]
        models = models or [_from_recording(row) for row in recorded.MODELS]
        models += [_from_spec(spec) for spec in extra]
        self._models = {model.name.key: model for model in models}

    def find(self, text: str) -> Model | None:
        """The model that `text` means, in any of its spellings."""
        return self._models.get(parse_name(text).key)

    def newest_first(self) -> list[Model]:
        # Whole seconds, as the server sorts: what was made within one keeps its order.
        return sorted(self._models.values(), key=lambda m: m.modified_at[:19], reverse=True)

    def copy(self, source: Model, destination: Name) -> None:
        self._models[destination.key] = dataclasses.replace(
            source, name=destination, modified_at=now_text()
        )

    def make(self, name: Name, base: Model | None) -> None:
        """Add a model as create and pull do; without a base it is a small one of its own."""
        made = base or _from_spec(ModelSpec(name=name.short, size_bytes=1728600))
        self.copy(made, name)

    def delete(self, model: Model) -> None:
        del self._models[model.name.key]


def _from_recording(row: recorded.Recorded) -> Model:
    return Model(
        name=parse_name(row.name),
        size_bytes=row.size_bytes,
        digest=row.digest,
        modified_at=row.modified_at,
        capabilities=(row.capability,),
        parameter_size=row.parameter_size,
        embedding_length=row.embedding_length,
    )


def _from_spec(spec: ModelSpec) -> Model:
    name = parse_name(spec.name)
    made_at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + ".000000001Z"
    return Model(
        name=name,
        size_bytes=spec.size_bytes,
        digest=hashlib.sha256(name.key.encode()).hexdigest(),
        modified_at=made_at,
        capabilities=spec.capabilities,
    )
