"""The example as a team would run it: its own worker, its own receiver, foreman in between.

The job is carried out by this test in a worker's place, so that it can look around meanwhile.
"""

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import insert

from foreman.core.states import JobState
from foreman.embedded.probe import free_port
from foreman.parsing import database_url as as_settings_read_it
from foreman.simulation.process import SimulationProcess
from foreman.store import runs
from foreman.store.db import Database
from foreman.store.models import Artifact
from tests.integration.store.ground import Store
from tests.stack import ROOT, Process, WebAlone, wait_for

SECRET = "whsec_" + base64.b64encode(b"a secret of the team itself").decode()
WORDS = "It is about the sky."


@pytest.fixture
def running() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def foreman(
    running: ExitStack,
    database_url: str,
    new_broker_url: Callable[[str], str],
    simulation: SimulationProcess,
) -> WebAlone:
    """A foreman with web and relay; the pump may call this machine."""
    alone = WebAlone(
        database_url=database_url,
        broker_url=new_broker_url("redis"),
        targets=f"gpu={simulation.url}",
        workers=0,
        settings={"FOREMAN_WEBHOOK_ALLOW": "127.0.0.0/8"},
    )
    running.enter_context(alone)
    return alone


@pytest.fixture
def environ(
    foreman: WebAlone, new_broker_url: Callable[[str], str], tmp_path: Path
) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}",
        "MODEL": "chain-a",
        "FOREMAN_URL": foreman.url,
        "TEAM_BROKER_URL": new_broker_url("redis"),
        "WEBHOOK_URL": f"http://127.0.0.1:{free_port()}/hook",
        "WEBHOOK_SECRET": SECRET,
        "SUMMARIES": str(tmp_path / "summaries"),
    }


@pytest.fixture
def team(running: ExitStack, environ: dict[str, str], tmp_path: Path) -> dict[str, Process]:
    """The team's two processes."""
    address = environ["WEBHOOK_URL"].removeprefix("http://").removesuffix("/hook")
    commands = {
        "team worker": ["celery", "-A", "celery_chain", "worker", "-P", "solo", "-l", "INFO"],
        "team receiver": ["gunicorn", "-b", address, "celery_chain:webhook"],
    }
    processes = {}
    for name, command in commands.items():
        processes[name] = Process(name, [sys.executable, "-m", *command], environ, tmp_path)
        running.callback(processes[name].stop)
    return processes


def carry_out(store: Store, words: str) -> str:
    """Run the one job as a worker does: claim it, keep its result, finish it."""
    job_id = wait_for(lambda: store.sql("SELECT id FROM jobs"), 20, "a job")[0]["id"]
    claim = store.claim(job_id)
    assert claim
    body = json.dumps({"message": {"role": "assistant", "content": words}}).encode()
    result = {
        "job_id": job_id,
        "fence": claim.fence,
        "name": "response.json",
        "content_type": "application/json",
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body,
    }
    with store.database.transaction() as connection:
        connection.execute(insert(Artifact).values(result))
        assert runs.finish_run(connection, job_id, claim.fence, JobState.SUCCEEDED, status=200)
    return str(job_id)


@pytest.mark.parametrize("words", [WORDS, WORDS * 2000], ids=["inline", "asked for"])
def test_a_team_goes_on_when_its_job_is_done_and_holds_no_worker(
    running: ExitStack,
    environ: dict[str, str],
    team: dict[str, Process],
    database_url: str,
    words: str,
) -> None:
    database = Database(as_settings_read_it(database_url), pool_size=2)
    running.callback(database.close)
    store = Store(database)

    start = "import celery_chain; celery_chain.summarise.delay('doc-1', 'A text')"
    subprocess.run([sys.executable, "-c", start], env=environ, check=True, timeout=30)
    wait_for(
        lambda: (
            "celery_chain.summarise" in team["team worker"].log_text()
            and "succeeded in" in team["team worker"].log_text()
        ),
        30,
        "the task has ended, and its job has not",
    )
    job_id = carry_out(store, words)

    summary = Path(environ["SUMMARIES"]) / "doc-1.txt"
    wait_for(summary.exists, 30, "the next task has run")
    wait_for(lambda: summary.read_text() == words, 5)
    rows = store.sql("SELECT type, state FROM deliveries")
    wait_for(lambda: store.sql("SELECT state FROM deliveries")[0]["state"] == "succeeded", 10)
    assert [row["type"] for row in rows] == ["job.succeeded"]
    assert store.sql("SELECT metadata FROM jobs")[0]["metadata"] == {"document": "doc-1"}
    assert f"keep {job_id}" in team["team worker"].log_text()


def test_the_receiver_takes_nothing_that_foreman_did_not_sign(
    team: dict[str, Process], environ: dict[str, str]
) -> None:
    body = json.dumps({"data": {"state": "succeeded"}}).encode()

    def answer() -> int:
        headers = {
            "webhook-id": "msg",
            "webhook-timestamp": str(int(time.time())),
            "webhook-signature": "v1,AAAA",
        }
        request = urllib.request.Request(environ["WEBHOOK_URL"], body, headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as opened:
                return int(opened.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    assert wait_for(answer, 20, "the receiver answers") == 401
