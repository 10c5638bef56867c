"""A Celery team hands work to foreman and goes on when it is done, without a worker that waits.

`summarise` submits a job and ends. When the job has ended, foreman posts its event to `webhook`,
which checks the signature and sends `keep_summary`. No task is held while a model is loaded or
works, be it for a second or for a night.

    pip install celery[redis] ollama-foreman-client
    export TEAM_BROKER_URL=redis://localhost:6379/5 FOREMAN_URL=http://127.0.0.1:11435
    export WEBHOOK_URL=https://team.example/hook
    export WEBHOOK_SECRET=whsec_…               # and base64 of 24 random bytes
    celery -A celery_chain worker               # the tasks
    gunicorn celery_chain:webhook               # the receiver
    python -c 'import celery_chain; celery_chain.summarise.delay("doc-1", "A long text …")'

The receiver may get an event twice: what follows from it must bear that. Here it is a task whose
id is made of the job's, and a write that is the same however often it is done.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from celery import Celery

from foreman.client import BadSignature, Client, Unavailable, Unreachable, verify

MODEL = os.environ.get("MODEL", "gemma3:270m")
FOREMAN_URL = os.environ.get("FOREMAN_URL", "http://127.0.0.1:11435")
WEBHOOK_URL = os.environ["WEBHOOK_URL"]
WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]
SUMMARIES = Path(os.environ.get("SUMMARIES", "summaries"))
BODY_LIMIT_BYTES = 64 * 1024
# What may pass. Any other refusal is the same at the next try: the task fails with it.
PASSING = (Unreachable, Unavailable)

app = Celery("team", broker=os.environ["TEAM_BROKER_URL"], set_as_current=False)


@app.task(autoretry_for=PASSING, retry_backoff=True, max_retries=8)
def summarise(document: str, text: str) -> str:
    """Hand the text to foreman. The key makes one job of however many tries this takes.

    A changed text, or another model, has another key: it is another job.
    """
    prompt = f"Summarise in one sentence:\n\n{text}"
    request = {"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
    digest = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    with Client(FOREMAN_URL, name="summaries") as client:
        job = client.submit(
            "/api/chat",
            request,
            key=f"summary of {document} {digest[:16]}",
            metadata={"document": document},
            webhook={
                "url": WEBHOOK_URL,
                "secret": WEBHOOK_SECRET,
                "events": ["job.succeeded", "job.failed", "job.expired", "job.cancelled"],
            },
        )
    return job.id


@app.task(autoretry_for=PASSING, retry_backoff=True, max_retries=8)
def keep_summary(document: str, job_id: str, result: dict[str, Any] | None) -> None:
    """Go on with the result; one that was too big for the event is asked for."""
    if result is None:
        with Client(FOREMAN_URL) as client:
            result = client.result(job_id)
    SUMMARIES.mkdir(parents=True, exist_ok=True)
    (SUMMARIES / f"{document}.txt").write_text(result["message"]["content"])


def webhook(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The receiver, as a WSGI application: 204 when an event is taken, and it comes no more."""
    status = _take(environ)
    start_response(status, [("Content-Length", "0")])
    return []


def _take(environ: dict[str, Any]) -> str:
    size = environ.get("CONTENT_LENGTH") or "0"
    if environ["REQUEST_METHOD"] != "POST" or not 0 < int(size) <= BODY_LIMIT_BYTES:
        return "400 Bad Request"
    body: bytes = environ["wsgi.input"].read(int(size))
    try:
        data = verify(body, environ, WEBHOOK_SECRET)["data"]
    except BadSignature:
        return "401 Unauthorized"
    if data["state"] == "succeeded":
        keep_summary.apply_async(
            (data["metadata"]["document"], data["job_id"], data["result"]),
            task_id=f"keep {data['job_id']}",
        )
    else:
        print(f"job {data['job_id']} is {data['state']}: {data['error']}", flush=True)
    return "204 No Content"
