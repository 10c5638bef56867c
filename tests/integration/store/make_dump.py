"""Makes a dump of a database that a whole foreman has worked with: a row or more in every table.

    python -m tests.integration.store.make_dump tests/integration/store/schema_0006.sql

Run it with the last commit of a schema, before the next migration. It uses `pg_dump` of the
wheel's PostgreSQL.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from cryptography.fernet import Fernet

from foreman.embedded.postgres import PACKAGE, TREE
from foreman.simulation.process import SimulationProcess
from foreman.store.hook_models import Hook
from tests.fakes.receiver import Receiver
from tests.servers import PostgresServer, ValkeyServer, started
from tests.stack import Stack, wait_for

CHAT = {"messages": [{"role": "user", "content": "Why is the sky blue?"}]}
# It lives until the broker has removed the queue of removed jobs: no stack shows it for long.
OLD_QUEUE = (
    "INSERT INTO old_queues (queue, job_class, pinned_target)"
    " VALUES ('model.gone%%3Alatest', 'interactive', '')"
)
TABLES = [table.name for table in Hook.metadata.sorted_tables]


def work(stack: Stack, receiver: Receiver) -> None:
    """One of everything that leaves rows."""
    stack.post("/api/chat", {"model": "chain-a", **CHAT})
    stack.post("/api/embed", {"model": "sim-embed", "input": "sky"})
    hook = {"url": receiver.url, "secret": "whsec_" + "c2VjcmV0" * 4}
    for model, more in (("chain-a", {}), ("chain-b", {"artifacts": ["stream"]}), ("none", {})):
        job = {"endpoint": "/api/chat", "request": {"model": model, **CHAT}, "webhook": hook}
        stack.post("/jobs", {**job, **more}, headers={"Idempotency-Key": f"key of {model}"})
    wait_for(lambda: all(job["ended_at"] for job in stack.jobs()), 60, "every job has ended")
    wait_for(lambda: stack.rows("SELECT 1 FROM attempts"), 60, "a webhook was sent")
    wait_for(lambda: stack.rows("SELECT 1 FROM kept_models"), 60, "the embedding model is kept")
    stack.post("/jobs", {"endpoint": "/api/chat", "request": {"model": "chain-a", **CHAT},
                         "priority": "batch"})  # fmt: skip


def dump(url: str) -> str:
    """The database as SQL that a driver can run: no commands of psql, no COPY."""
    spec = find_spec(PACKAGE)
    assert spec
    assert spec.origin
    programs = Path(spec.origin).parent / TREE
    command = [str(programs / "bin" / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("\\", "--")))
    return "\n".join(line for line in lines if line) + "\n"


def main(path: Path) -> None:
    postgres, valkey = PostgresServer(), started(ValkeyServer)
    url = postgres.create_database()
    settings = {
        "FOREMAN_WEBHOOK_ALLOW": "127.0.0.0/8",
        "FOREMAN_SECRET_KEY": Fernet.generate_key().decode(),
    }
    with SimulationProcess(demo=True, load_s=0.1) as ollama, Receiver() as receiver:
        stack = Stack(
            database_url=url,
            broker_url=f"redis://127.0.0.1:{valkey.port}/1",
            targets=f"gpu={ollama.url}?slots=2",
            settings=settings,
            is_migrated=False,
        )
        with stack:
            work(stack, receiver)
            stack.rows(f"{OLD_QUEUE} RETURNING 1")
            counts = {name: len(stack.rows(f"SELECT 1 FROM {name}")) for name in TABLES}
            path.write_text(dump(url))
    valkey.stop()
    postgres.stop()
    print(counts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
