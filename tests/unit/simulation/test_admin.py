"""What changes the models on the disk: copies, deletions, pulls, creations and blobs."""

import hashlib

import pytest

from foreman.simulation.process import SimulationProcess
from tests.unit.simulation.client import ask
from tests.unit.simulation.conftest import StartSimulation


@pytest.fixture
def simulation(start: StartSimulation) -> SimulationProcess:
    return start(load_s=0, tokens_per_s=0)


def names(simulation: SimulationProcess) -> list[str]:
    tags = ask(simulation.url, "/api/tags", method="GET").json["models"]
    return [model["name"] for model in tags]


def test_a_copy_is_the_same_model_under_another_name(simulation: SimulationProcess) -> None:
    copied = {"source": "chain-a", "destination": "me/other:v1"}
    assert ask(simulation.url, "/api/copy", copied).status == 200

    assert names(simulation)[0] == "me/other:v1"
    assert ask(simulation.url, "/api/generate", {"model": "me/other:v1"}).status == 200
    assert (
        ask(simulation.url, "/api/delete", {"name": "me/other:v1"}, method="DELETE").status == 200
    )
    assert "me/other:v1" not in names(simulation)


def test_a_copy_needs_a_source_that_exists(simulation: SimulationProcess) -> None:
    answer = ask(simulation.url, "/api/copy", {"source": "nope", "destination": "x"})

    assert (answer.status, answer.json) == (404, {"error": 'model "nope" not found'})


def test_a_pull_tells_how_far_it_is_and_adds_the_model(simulation: SimulationProcess) -> None:
    lines = ask(simulation.url, "/api/pull", {"model": "new"}).lines

    assert lines[0] == {"status": "pulling manifest"}
    assert lines[-1] == {"status": "success"}
    assert [line["completed"] for line in lines if "completed" in line][-1] == lines[1]["total"]
    assert "new:latest" in names(simulation)


def test_a_pull_that_is_not_streamed_says_success_only(simulation: SimulationProcess) -> None:
    answer = ask(simulation.url, "/api/pull", {"name": "new", "stream": False})

    assert answer.json == {"status": "success"}
    assert "new:latest" in names(simulation)


def test_a_model_is_created_from_another(simulation: SimulationProcess) -> None:
    lines = ask(simulation.url, "/api/create", {"model": "mine", "from": "chain-a"}).lines

    assert lines[-1] == {"status": "success"}
    assert "mine:latest" in names(simulation)
    nothing = ask(simulation.url, "/api/create", {"model": "mine"})
    assert nothing.json == {"error": "neither 'from' or 'files' was specified"}


def test_a_push_needs_a_model_that_exists(simulation: SimulationProcess) -> None:
    assert ask(simulation.url, "/api/push", {"model": "chain-a"}).lines[-1] == {"status": "success"}
    assert ask(simulation.url, "/api/push", {"model": "nope"}).status == 404


def test_a_blob_is_kept_when_its_digest_is_right(simulation: SimulationProcess) -> None:
    blob = b"x" * 3_000_000
    path = f"/api/blobs/sha256:{hashlib.sha256(blob).hexdigest()}"

    assert ask(simulation.url, path, method="HEAD").status == 404
    assert ask(simulation.url, path, b"other").status == 400
    assert ask(simulation.url, path, blob).status == 201
    assert ask(simulation.url, path, method="HEAD").status == 200
    assert ask(simulation.url, path, blob).status == 200


def test_a_digest_must_look_like_one(simulation: SimulationProcess) -> None:
    assert ask(simulation.url, "/api/blobs/sha256:12", b"x").status == 400
