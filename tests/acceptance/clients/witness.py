"""What foreman and its target saw of a client: the other half of what the client itself tells.

A witness knows the jobs that began after it was made; its target's log was empty then.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from typing import Any

from foreman.core.states import END_STATES, JobState
from foreman.simulation.answers import ANSWER, THOUGHTS
from foreman.simulation.process import SimulationProcess
from tests.stack import Stack, wait_for

CHAT, TOOLS, THINK, EMBED = "sim-chat", "sim-tools", "sim-think", "sim-embed"
HOLDER = "sim-vision"  # the model of those who hold the slots; its jobs are not the client's
SLOTS = 4
QUESTION = "why is the sky blue?"
# A whole answer has 42 tokens: so many words, and one that ends it.
WORDS = ANSWER[:41]
SAID = "".join(WORDS)
THOUGHT = "".join(THOUGHTS)


class Witness:
    """Watches one foreman and the simulation behind it during one test."""

    def __init__(self, stack: Stack, simulation: SimulationProcess) -> None:
        self.stack = stack
        self.simulation = simulation
        self._known = [job["id"] for job in stack.jobs()]

    @property
    def url(self) -> str:
        return self.stack.url

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs of this test's clients, oldest first."""
        query = "SELECT * FROM jobs WHERE id <> ALL(%s) ORDER BY created_at, id"
        return [job for job in self._rows(query) if HOLDER not in job["model"]]

    def wait_for_job(self, state: JobState) -> dict[str, Any]:
        """The one job of this test's client, once it is in `state`."""

        def found() -> list[dict[str, Any]]:
            jobs = self.jobs()
            return jobs if [job["state"] for job in jobs] == [state] else []

        return wait_for(found, what=f"one job, and it is {state}")[0]

    def wait_until_idle(self) -> None:
        """Leave nothing to the next test: no open job, nobody on the target."""
        query = "SELECT state FROM jobs WHERE id <> ALL(%s)"
        wait_for(
            lambda: (
                all(job["state"] in END_STATES for job in self._rows(query))
                and not self.simulation.state()["generating"]
            ),
            what="no job is open",
        )

    # What the target does

    def hush(self, *, after_tokens: int) -> None:
        """Let the next speaker fall silent after so many tokens, until `go_on`."""
        self.simulation.fault("stall_in_stream", after_tokens=after_tokens, times=1)

    def is_speaking(self) -> bool:
        """Whether an answer is still being generated."""
        return bool(self.simulation.state()["generating"])

    def go_on(self) -> None:
        """End all faults; the log is empty then."""
        self.simulation.clear()

    def generations(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """What the target's log says of a job."""
        log = self.simulation.log("generation")
        return [entry for entry in log if entry["job_id"] == str(job["id"])]

    # What is asserted of every client

    def assert_stopped_by_departure(self) -> None:
        """The job was cancelled, and its target saw the connection close in mid-answer."""
        job = self.wait_for_job(JobState.CANCELLED)
        entries = wait_for(lambda: self.generations(job), what="the generation ended")
        assert [entry["ended"] for entry in entries] == ["client_gone"]

    def assert_never_reached_the_target(self, job: dict[str, Any]) -> None:
        """Nothing of `job` ran, although a request that came after it has been answered."""
        body = {"model": CHAT, "prompt": QUESTION, "stream": False}
        assert self.stack.post("/api/generate", body).status == 200
        assert job["working_at"] is None
        assert self.generations(job) == []

    def _rows(self, query: str) -> list[dict[str, Any]]:
        return self.stack.rows(query, self._known)


@contextmanager
def all_slots_held(witness: Witness) -> Iterator[None]:
    """Inside, every slot of the target is taken: whoever comes waits in a queue."""
    witness.simulation.fault("stall_before", model=HOLDER)
    with ExitStack() as holders:
        for _ in range(SLOTS):
            holders.enter_context(_one_slot_held(witness.stack.port))
        wait_for(lambda: witness.simulation.state()["generating"].get(HOLDER) == SLOTS)
        yield


@contextmanager
def _one_slot_held(port: int) -> Iterator[None]:
    with closing(HTTPConnection("127.0.0.1", port)) as connection:
        body = json.dumps({"model": HOLDER, "prompt": QUESTION, "stream": False})
        connection.request("POST", "/api/generate", body)
        yield
