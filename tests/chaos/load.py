"""A seeded load: streams in two dialects, embeddings, jobs with webhooks, batches."""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.chaos import answers
from tests.chaos.exchange import Leaves, encoded, exchange
from tests.chaos.ground import WEBS, Ground
from tests.chaos.targets import CHAT_MODELS, EMBED_MODEL
from tests.chaos.values import Accepted, Ending, Kind, Record

BATCH_LINES = 4
# A call whose outcome is unknown or that was refused is repeated with its key so often.
TRIES = 12
REFUSED_PAUSE_S = 0.5
# In leases; longer than FOREMAN_SYNC_WAIT and FOREMAN_JOB_TIMEOUT together: then it hangs.
LIMIT = 14.0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How many clients of each kind, and the words of their answers."""

    chats: int = 3
    events: int = 2
    embeds: int = 1
    jobs: int = 1
    batches: int = 1
    words: tuple[int, int] = (10, 40)


@dataclass(frozen=True)
class _Job:
    """A call of `POST /jobs`, and what its result must say."""

    body: dict[str, Any]
    text: str
    secret: str
    receiver: str


class Load:
    """Clients that ask one after another until they are stopped; everything is recorded."""

    def __init__(
        self, ground: Ground, shape: Shape, seed: str, receivers: tuple[str, ...] = ("good",)
    ) -> None:
        self.records: list[Record] = []
        self.accepted: list[Accepted] = []
        self._ground, self._shape, self._receivers = ground, shape, receivers
        self._seed = seed
        self._ends = threading.Event()
        self._numbers = iter(range(1_000_000))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        shape = self._shape
        kinds: list[tuple[int, Callable[[Random], None], float]] = [
            (shape.chats, self._stream(Kind.CHAT), 0.3),
            (shape.events, self._stream(Kind.SSE), 0.3),
            (shape.embeds, self._embed, 0.5),
            (shape.jobs, lambda random: self.submit(random), 1.2),
            (shape.batches, self._batch, 3.0),
        ]
        for count, ask, pause_s in kinds:
            for _ in range(count):
                self._run(self._repeat, ask, pause_s)

    def stop(self) -> None:
        """Start no more requests, and wait for the end of those under way."""
        self._ends.set()
        give_up_at = time.monotonic() + (LIMIT + 2) * self._ground.lease_s
        for thread in list(self._threads):
            thread.join(max(give_up_at - time.monotonic(), 0))

    def random(self) -> Random:
        """A source of chance of the caller's own, fixed by the seed and the order of calls."""
        return Random(f"{self._seed} {self._number()}")

    def probe(self, web: str) -> None:
        """Ask one web process for a short chat, in the background."""
        self._run(lambda: self.chat(self.random(), Kind.CHAT, web=web, count=5))

    def probe_job(self, web: str) -> None:
        """Submit one job to a web process, in the background."""
        self._run(lambda: self.submit(self.random(), web=web))

    def stream(self, kind: Kind, *, count: int) -> None:
        """Ask for a stream of so many words, in the background."""
        self.background(lambda: self.chat(self.random(), kind, count=count))

    def background(self, ask: Callable[[], object]) -> None:
        """Do something on a thread of its own; `stop` waits for its end."""
        self._run(ask)

    def burst(self, count: int) -> None:
        """Submit so many jobs more than there are slots for, in the background."""
        for _ in range(count):
            self._run(lambda: self.submit(self.random()))

    def chat(
        self,
        random: Random,
        kind: Kind,
        *,
        web: str | None = None,
        count: int | None = None,
        size: int = 1,
        is_odd: bool = False,
        leaves: Leaves = lambda _: False,
    ) -> Record:
        """One stream to its end, or until the client leaves."""
        text = answers.words(
            f"{kind[0]}{self._number()}", count or random.randint(*self._shape.words), size
        )
        record = Record(
            kind=kind,
            web=web or random.choice(WEBS),
            expected=answers.said(text),
            started=time.time(),
            is_odd=is_odd,
        )
        path, body = stream_request(kind, random.choice(CHAT_MODELS), text)
        self._exchange(path, encoded(body), record, leaves=leaves)
        return self._note(record)

    def submit(self, random: Random, *, web: str | None = None) -> None:
        """One job, repeated with its key until it is accepted; now and then once more."""
        number = self._number()
        job = self._job(random, f"j{number}")
        key = f"{self._seed}-{number}"
        repeats = 1 + (random.random() < 0.2)
        for _ in range(TRIES):
            record = self._post(
                "/jobs", encoded(job.body), Kind.JOB, key, web or random.choice(WEBS)
            )
            if record.status in (200, 202) and record.ending is Ending.WHOLE:
                self._accept(json.loads(record.body)["id"], key, job, record)
                repeats -= 1
            elif self._ends.wait(REFUSED_PAUSE_S):
                return
            if not repeats:
                return

    def _batch(self, random: Random) -> None:
        number = self._number()
        jobs = [self._job(random, f"b{number}-{line}") for line in range(BATCH_LINES)]
        body = b"".join(encoded(job.body) + b"\n" for job in jobs)
        key = f"{self._seed}-{number}"
        missing = set(range(BATCH_LINES))
        for _ in range(TRIES):
            record = self._post("/jobs/batch", body, Kind.BATCH, key, random.choice(WEBS))
            for line in record.body.splitlines():
                said = _object(line)
                if said.get("status") in (200, 202) and said["index"] in missing:
                    missing.discard(said["index"])
                    line_key = f"{key}-{said['index']}"
                    self._accept(said["id"], line_key, jobs[said["index"]], record)
            if not missing or self._ends.wait(REFUSED_PAUSE_S):
                return

    def _embed(self, random: Random) -> None:
        text = f"text {self._number()}"
        record = Record(
            kind=Kind.EMBED,
            web=random.choice(WEBS),
            expected=answers.embedding_of(text),
            started=time.time(),
        )
        body = {"model": EMBED_MODEL, "input": text, "dimensions": answers.EMBEDDING_LENGTH}
        self._exchange("/api/embed", encoded(body), record)
        self._note(record)

    def _stream(self, kind: Kind) -> Callable[[Random], None]:
        def ask(random: Random) -> None:
            self.chat(random, kind)

        return ask

    def _job(self, random: Random, tag: str) -> _Job:
        text = answers.words(tag, random.randint(5, 20))
        secret = "whsec_" + base64.b64encode(random.randbytes(32)).decode()
        receiver = random.choice(self._receivers)
        _, request = stream_request(Kind.CHAT, random.choice(CHAT_MODELS), text)
        body = {
            "endpoint": "/api/chat",
            "request": request,
            "priority": random.choice(("interactive", "batch")),
            # So many that no fault of a row ends a job for good.
            "max_attempts": 10,
            "webhook": {"url": self._ground.hook_url(receiver), "secret": secret},
        }
        return _Job(body, text, secret, receiver)

    def _post(self, path: str, body: bytes, kind: Kind, key: str, web: str) -> Record:
        record = Record(kind=kind, web=web, expected="", started=time.time())
        headers = {"Idempotency-Key": key}
        self._exchange(path, body, record, headers=headers)
        return self._note(record)

    def _accept(self, job_id: str, key: str, job: _Job, record: Record) -> None:
        self.accepted.append(
            Accepted(
                job_id=job_id,
                key=key,
                expected=answers.said(job.text),
                secret=job.secret,
                receiver=job.receiver,
                at=record.started,
            )
        )

    def _repeat(self, ask: Callable[[Random], None], pause_s: float) -> None:
        random = self.random()
        while not self._ends.wait(random.uniform(0.2, 1) * pause_s):
            ask(random)
            if self.records[-1:] and self.records[-1].status != 200:
                self._ends.wait(REFUSED_PAUSE_S)

    def _exchange(self, path: str, body: bytes, record: Record, **options: Any) -> None:
        limit_s = LIMIT * self._ground.lease_s
        exchange(self._ground.url(record.web), path, body, record, limit_s=limit_s, **options)

    def _run(self, target: Callable[..., object], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _note(self, record: Record) -> Record:
        self.records.append(record)
        return record

    def _number(self) -> int:
        with self._lock:
            return next(self._numbers)


def stream_request(kind: Kind, model: str, text: str) -> tuple[str, dict[str, Any]]:
    """Path and body of a request for the answer `text`."""
    body = {"model": model, "messages": [{"role": "user", "content": "go on"}], "stream": True}
    if kind is Kind.CHAT:
        return "/api/chat", body | {"format": answers.schema(text)}
    form = {"type": "json_schema", "json_schema": {"name": "t", "schema": answers.schema(text)}}
    return "/v1/chat/completions", body | {"response_format": form}


def _object(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
