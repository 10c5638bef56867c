"""The thirteen models of the server that was recorded (Ollama 0.33), in its own numbers."""

from dataclasses import dataclass

# What a model of the recording answers to every prompt.
ANSWER = (
    " rayleigh scatter atmosphere nitrogen oxygen wavelength interact water droplet"
    " refract reflect sunlight light color particle soil iron rust organic mineral"
    " mixture air gas carbon fourth july declaration independence sky blue rain"
    " rainbow sun europe russia france austria war moon night ocean"
)


@dataclass(frozen=True)
class Recorded:
    """One line of the recorded `/api/tags`."""

    name: str
    size_bytes: int
    digest: str
    modified_at: str
    parameter_size: str
    embedding_length: int
    capability: str


MODELS = (
    Recorded(
        "gemma3:270m",
        1728646,
        "3f81016f5a7bc910a4d850a51cbaafcc06a6b81374b967fb25f82f98de90313c",
        "2026-11-22T21:45:59.893247257Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "gemma2:2b",
        1728646,
        "3881b9e113f28196932f98e73bd012cd5a0477e39b6c3ed5720154db40639198",
        "2026-11-22T21:45:59.815384001Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "llama3.2:1b",
        1728646,
        "a3f0cd4a01e6195f655b90d5f6abf7eac39d1ceebfabce289bfc635da30b6c94",
        "2026-11-22T21:45:59.671054183Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "llama3.2:latest",
        1728646,
        "a3f0cd4a01e6195f655b90d5f6abf7eac39d1ceebfabce289bfc635da30b6c94",
        "2026-11-22T21:45:59.953572217Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "qwen3:0.6b",
        1728646,
        "f376c0fa0a2df5ecd1c3c2b72703678734586ae9d40370232723d63536112efa",
        "2026-11-22T21:45:59.742408554Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "chain-c:latest",
        1728600,
        "cd754f50443a670de9794dc130d6b0e915d6804d7d5e468851253787f546d2be",
        "2026-11-22T21:45:19.052846614Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "chain-embed:latest",
        1728632,
        "ac13998faf4141d63632d5d5f17fdbf2470375511e1f8c89c4d533adc56c2400",
        "2026-11-22T21:45:19.142173599Z",
        "429K",
        128,
        "embedding",
    ),
    Recorded(
        "chain-b:latest",
        1728600,
        "8915a9cf07611e19a22f0fdfe31e7ca960ab0ec45574e035760df4e5a4b91414",
        "2026-11-22T21:45:18.957336798Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "chain-a:latest",
        1728600,
        "2c89983667f418c68ab45523bbb62b609cf5a5043c55896302600c7c66b5fc94",
        "2026-11-22T21:45:18.869678294Z",
        "429K",
        128,
        "completion",
    ),
    Recorded(
        "tiny-embed:latest",
        545688,
        "47af570458b927d5543764e427cca9879b7b5495d60512698325259c001af3e7",
        "2026-11-22T21:31:14.000835568Z",
        "134K",
        64,
        "embedding",
    ),
    Recorded(
        "tiny-a:latest",
        545656,
        "4136b2c42c044359fc2794a02a0605aa674d3911c62a0a22e3def4c940bbf3f3",
        "2026-11-22T21:31:13.644523263Z",
        "134K",
        64,
        "completion",
    ),
    Recorded(
        "tiny-b:latest",
        545656,
        "541d51fcf2fc990439d658e20e72fcd1e2775ad3b68fbc4bfc7a81c7a6c877d2",
        "2026-11-22T21:31:13.757378117Z",
        "134K",
        64,
        "completion",
    ),
    Recorded(
        "tiny-c:latest",
        545656,
        "a284385904edbcdfa44696c53aa5d789c6668bb58d8d1c65844fc544f33edfde",
        "2026-11-22T21:31:13.878282849Z",
        "134K",
        64,
        "completion",
    ),
)
