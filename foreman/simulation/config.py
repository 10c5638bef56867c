"""What a simulated Ollama is told at its start: models, memory, speed; the options that say so."""

import argparse
import re
from dataclasses import dataclass

from foreman.errors import SettingsError
from foreman.sizes import size_bytes

GIB = 1024**3


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model of the server; its size is what it takes of the memory when it is loaded."""

    name: str
    size_bytes: int
    capabilities: tuple[str, ...] = ("completion",)


DEMO_MODELS = (
    ModelSpec(name="sim-chat", size_bytes=4 * GIB),
    ModelSpec(name="sim-tools", size_bytes=4 * GIB, capabilities=("completion", "tools")),
    ModelSpec(
        name="sim-think", size_bytes=4 * GIB, capabilities=("completion", "tools", "thinking")
    ),
    ModelSpec(name="sim-vision", size_bytes=4 * GIB, capabilities=("completion", "vision")),
    ModelSpec(name="sim-embed", size_bytes=1 * GIB, capabilities=("embedding",)),
)


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """One simulated server. Sizes in bytes, times in seconds."""

    host: str = "127.0.0.1"
    port: int = 11434  # 0: any free one
    models: tuple[ModelSpec, ...] = ()  # none: the thirteen of the recording
    demo: bool = False  # DEMO_MODELS too
    memory_bytes: int = 6 * GIB
    max_loaded: int = 0  # OLLAMA_MAX_LOADED_MODELS; 0: only the memory decides
    load_s: float = 0.3
    load_s_per_gib: float = 0.0
    tokens_per_s: float = 50.0  # of each generation; 0: as fast as it can
    tokens: int = 42  # of a whole answer; the last ends it: its stream has so many lines
    slots: int = 4  # OLLAMA_NUM_PARALLEL
    max_queue: int = 512  # OLLAMA_MAX_QUEUE
    keep_alive_s: float = 300.0  # OLLAMA_KEEP_ALIVE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `simulate-ollama`."""
    default = SimulationConfig()
    parser.add_argument("--host", default=default.host)
    parser.add_argument("--port", type=int, default=default.port, help="0: any free port")
    parser.add_argument(
        "--models",
        default="",
        metavar="NAME=SIZE[;caps=A+B],…",
        help="e.g. chain-a=4GiB,sim=1GiB;caps=completion+tools (default: those of the recording)",
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="add sim-chat, sim-tools, sim-think, sim-vision, sim-embed",
    )
    parser.add_argument("--memory", default="6GiB", help="models that do not fit evict others")
    parser.add_argument("--max-loaded", type=int, default=default.max_loaded)
    parser.add_argument("--load-s", type=float, default=default.load_s, help="seconds of a load")
    parser.add_argument("--load-s-per-gib", type=float, default=default.load_s_per_gib)
    parser.add_argument("--tokens-per-s", type=float, default=default.tokens_per_s)
    parser.add_argument(
        "--tokens",
        type=int,
        default=default.tokens,
        help="of a whole answer: the lines of its stream",
    )
    parser.add_argument("--slots", type=int, default=default.slots, help="OLLAMA_NUM_PARALLEL")
    parser.add_argument("--max-queue", type=int, default=default.max_queue)
    parser.add_argument("--keep-alive-s", type=float, default=default.keep_alive_s)


def config_from(args: argparse.Namespace) -> SimulationConfig:
    """Build the configuration; SettingsError names the option that is wrong."""
    try:
        models = parse_models(args.models)
        memory_bytes = size_bytes(args.memory)
    except ValueError as exc:
        raise SettingsError(f"simulate-ollama: {exc}") from exc
    if args.slots < 1 or args.tokens < 1 or args.max_queue < 0 or args.tokens_per_s < 0:
        raise SettingsError("simulate-ollama: --slots and --tokens are at least 1, none is below 0")
    return SimulationConfig(
        host=args.host,
        port=args.port,
        models=models,
        demo=args.demo,
        memory_bytes=memory_bytes,
        max_loaded=args.max_loaded,
        load_s=args.load_s,
        load_s_per_gib=args.load_s_per_gib,
        tokens_per_s=args.tokens_per_s,
        tokens=args.tokens,
        slots=args.slots,
        max_queue=args.max_queue,
        keep_alive_s=args.keep_alive_s,
    )


def parse_models(text: str) -> tuple[ModelSpec, ...]:
    """Parse `name=size;caps=a+b,…`; a comma inside the capabilities is understood too."""
    entries = re.split(r",(?=[^,=;]+=)", text.strip()) if text.strip() else []
    return tuple(_model(entry) for entry in entries)


def _model(entry: str) -> ModelSpec:
    head, _, tail = entry.strip().partition(";")
    name, separator, size = head.partition("=")
    key, _, values = tail.partition("=")
    if not separator or not name or (tail and key != "caps"):
        raise ValueError(f"--models: {entry!r} is not NAME=SIZE[;caps=A+B]")
    capabilities = tuple(re.split(r"[+,]", values)) if tail else ("completion",)
    return ModelSpec(name=name.strip(), size_bytes=size_bytes(size), capabilities=capabilities)
