"""ollama-python where it asks about models or changes them: nothing of this waits in a queue."""

import os
from collections.abc import Iterator
from pathlib import Path

import ollama
import pytest

from tests.acceptance.clients.witness import (
    CHAT,
    EMBED,
    HOLDER,
    QUESTION,
    THINK,
    Witness,
    all_slots_held,
)


@pytest.fixture
def client(witness: Witness) -> Iterator[ollama.Client]:
    with ollama.Client(witness.url) as client:
        yield client


def names(client: ollama.Client) -> set[str | None]:
    return {model.model for model in client.list().models}


def test_ollama_python_lists_shows_and_sees_what_is_loaded(client: ollama.Client) -> None:
    client.generate(CHAT, QUESTION, options={"num_predict": 1})
    assert f"{CHAT}:latest" in names(client)
    assert "thinking" in (client.show(THINK).capabilities or [])
    assert f"{CHAT}:latest" in [model.model for model in client.ps().models]


def test_ollama_python_loads_and_unloads_a_model(client: ollama.Client) -> None:
    assert client.generate(CHAT).done_reason == "load"
    assert client.generate(CHAT, keep_alive=0).done_reason == "unload"
    assert f"{CHAT}:latest" not in [model.model for model in client.ps().models]


def test_ollama_python_is_answered_at_once_where_no_slot_is_needed(
    client: ollama.Client, witness: Witness
) -> None:
    with all_slots_held(witness):
        assert len(client.embed(EMBED, "sky").embeddings) == 1
        assert f"{HOLDER}:latest" in names(client)
        assert client.show(CHAT).capabilities == ["completion"]
        assert client.generate(CHAT, keep_alive=0).done_reason == "unload"
        with pytest.raises(ollama.ResponseError, match="model 'unknown' not found"):
            client.generate("unknown", QUESTION)
    assert witness.jobs() == []


def test_ollama_python_pulls_copies_and_deletes_a_model(client: ollama.Client) -> None:
    assert [part.status for part in client.pull("pulled", stream=True)][-1] == "success"
    client.copy("pulled", "copied")
    assert {"pulled:latest", "copied:latest"} <= names(client)
    for name in ("pulled", "copied"):
        assert client.delete(name).status == "success"
    with pytest.raises(ollama.ResponseError, match="'copied' not found"):
        client.delete("copied")


def test_ollama_python_makes_a_model_that_can_be_asked_at_once(client: ollama.Client) -> None:
    assert [part.status for part in client.create("made", from_=CHAT, stream=True)][-1] == "success"
    assert client.generate("made", QUESTION, options={"num_predict": 1}).done_reason == "length"
    assert client.push("made").status == "success"
    client.generate("made", keep_alive=0)  # what is deleted while it is loaded stays so
    client.delete("made")
    with pytest.raises(ollama.ResponseError, match="model 'made' not found"):
        client.generate("made", QUESTION)


def test_ollama_python_uploads_a_blob_of_some_megabytes(
    client: ollama.Client, tmp_path: Path
) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(os.urandom(4_000_000))
    assert client.create_blob(blob).startswith("sha256:")
