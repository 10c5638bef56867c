"""`foreman jobs …` and `deliveries …`: a running foreman, asked over HTTP.

What a program may read goes to standard output, progress to standard error. The exit status is 0
when it went as asked, and 1 when not: a job that is waited for and fails is that, too.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from foreman.client import Client, ClientError, Job, Unsuccessful
from foreman.core.display import printable

PROGRESS_EVERY_S = 2.0
WAIT_LIMIT_S = 24 * 3600.0


def asking(args: argparse.Namespace) -> int:
    """Run a verb that asks a running foreman; returns the exit status."""
    port = os.environ.get("PORT") or "11435"
    url = os.environ.get("FOREMAN_URL") or f"http://127.0.0.1:{port}"
    try:
        with Client(url, name="foreman-cli") as client:
            status: int | None = args.verb(client, args)
    except ClientError as error:
        print(f"foreman: {printable(str(error))}", file=sys.stderr)
        return 1
    return status or 0


def submit(client: Client, args: argparse.Namespace) -> int | None:
    """Hand over a job: a model and a prompt, or a whole request body."""
    job = client.submit(
        args.endpoint,
        _request(args),
        key=args.key,
        target=args.target,
        **{name: value for name, value in _options(args).items() if value not in (None, {})},
    )
    if job.webhook_secret:
        print(f"webhook secret: {job.webhook_secret}", file=sys.stderr)
    if not args.wait:
        _show(job, args)
        return None
    print(f"job {job.id}", file=sys.stderr)
    return _wait(client, job.id, args, then=lambda: result(client, args, job.id))


def list_jobs(client: Client, args: argparse.Namespace) -> None:
    """List jobs, newest first."""
    names = ("state", "model", "client", "source")
    filters = {name: getattr(args, name) for name in names if getattr(args, name)}
    for job in client.list(limit=args.limit, metadata=dict(args.metadata), **filters):
        _show(job, args)


def show(client: Client, args: argparse.Namespace) -> None:
    """Show one job whole."""
    print(json.dumps(asdict(client.job(args.id)), indent=None if args.json else 2))


def cancel(client: Client, args: argparse.Namespace) -> None:
    """Cancel a job."""
    _show(client.cancel(args.id), args)


def retry(client: Client, args: argparse.Namespace) -> None:
    """Queue a new job with the request of an ended one."""
    _show(client.retry(args.id), args)


def wait(client: Client, args: argparse.Namespace) -> int | None:
    """Wait until a job has ended."""
    return _wait(client, args.id, args, then=None)


def result(client: Client, args: argparse.Namespace, job_id: str | None = None) -> None:
    """Print a job's result: its words, or with --json the whole body."""
    body = client.result(job_id or args.id)
    print(json.dumps(body) if args.json else _words(body))


def list_deliveries(client: Client, args: argparse.Namespace) -> None:
    """List deliveries, of one job or of all."""
    for each in client.deliveries(args.job, state=args.state, limit=args.limit):
        line = f"{each['id']}  {each['state']:9}  {each['type']:13}  {each['url']}"
        print(json.dumps(each) if args.json else line)


def redeliver(client: Client, args: argparse.Namespace) -> None:
    """Send a delivery once more."""
    each = client.redeliver(args.id)
    print(json.dumps(each) if args.json else f"{each['id']}  {each['state']}")


def replay(client: Client, args: argparse.Namespace) -> int | None:
    """Send the deliveries of a time span again; shows how many there are and asks first."""
    until = args.until or datetime.now(UTC).isoformat()
    count = client.count_replay(args.since, until=until, state=args.state)
    print(f"{count} deliveries to send again", file=sys.stderr)
    if args.dry_run or not count:
        _show_count(count if args.dry_run else 0, args)
        return None
    if not (args.yes or _agrees()):
        print("nothing was sent; --yes sends without asking", file=sys.stderr)
        return 1
    _show_count(sum(client.replay(args.since, until=until, state=args.state)), args)
    return None


def _agrees() -> bool:
    if not sys.stdin.isatty():
        return False
    print("send them? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show_count(count: int, args: argparse.Namespace) -> None:
    print(json.dumps({"count": count}) if args.json else count)


def _wait(
    client: Client, job_id: str, args: argparse.Namespace, *, then: Callable[[], None] | None
) -> int | None:
    progress = _Progress()
    job = client.wait(job_id, limit_s=args.limit, on_progress=progress, every_s=PROGRESS_EVERY_S)
    if job.state != "succeeded":
        raise Unsuccessful(job)
    if then is None:
        _show(job, args)
    else:
        then()
    return None


class _Progress:
    """Says what a job does, whenever that is something new."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, job: Job) -> None:
        line = job.phase or job.state
        if job.queue:
            line += f", number {job.queue['position']} in line"
            if (eta_s := job.queue.get("eta_p50_s")) is not None:
                line += f", starts in about {eta_s:.0f} s"
        if job.attempt > 1:
            line += f", attempt {job.attempt}"
        if job.usage and job.usage.get("output_tokens") is not None:
            line += f", {job.usage['output_tokens']} tokens"
        if line != self._last:
            print(line, file=sys.stderr)
            self._last = line


def _show(job: Job, args: argparse.Namespace) -> None:
    line = f"{job.id}  {job.state:9}  {job.created_at[:19]}  {job.model}"
    print(json.dumps(asdict(job)) if args.json else printable(line))


def _request(args: argparse.Namespace) -> dict[str, Any]:
    if args.request is not None:
        text = sys.stdin.read() if args.request == "-" else Path(args.request).read_text()
        request: dict[str, Any] = json.loads(text)
        return request
    if not args.model or args.prompt is None:
        raise ClientError("give --request, or --model and a prompt")
    if args.endpoint == "/api/generate":
        return {"model": args.model, "prompt": args.prompt}
    return {"model": args.model, "messages": [{"role": "user", "content": args.prompt}]}


def _options(args: argparse.Namespace) -> dict[str, Any]:
    if args.webhook_secret and not args.webhook:
        raise ClientError("--webhook-secret needs --webhook")
    hook = {"url": args.webhook, "secret": args.webhook_secret}
    return {
        "priority": args.priority,
        "ttl_seconds": args.ttl,
        "deadline_seconds": args.deadline,
        "max_attempts": args.max_attempts,
        "metadata": dict(args.metadata),
        "webhook": {name: value for name, value in hook.items() if value} or None,
    }


def _words(body: Any) -> str:
    """The words of an answer in any of the protocols; the whole of it when it has none."""
    places = (
        lambda: body["message"]["content"],
        lambda: body["response"],
        lambda: body["choices"][0]["message"]["content"],
        lambda: body["choices"][0]["text"],
        lambda: "".join(part.get("text", "") for part in body["content"]),
    )
    for place in places:
        try:
            return str(place())
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    return json.dumps(body)


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    return name, value


_Argument = tuple[tuple[str, ...], dict[str, Any]]
_Verb = tuple[Callable[[Client, argparse.Namespace], int | None], list[_Argument]]


def _argument(*flags: str, **options: Any) -> _Argument:
    return flags, options


_ID = _argument("id")
_LIMIT = _argument("--limit", type=int, default=20, help="how many (20)")
_WAIT = _argument("--limit", type=float, default=WAIT_LIMIT_S, help="seconds to wait (a day)")
_LABELS = _argument("--metadata", type=_pair, action="append", default=[], metavar="NAME=VALUE")

_JOBS: dict[str, _Verb] = {
    "submit": (
        submit,
        [
            _argument("prompt", nargs="?"),
            _argument("--model"),
            _argument("--endpoint", default="/api/chat", help="the Ollama route (/api/chat)"),
            _argument("--request", metavar="FILE", help="the body for that route; - reads it"),
            _argument("--priority", choices=["batch", "interactive"]),
            _argument("--ttl", type=float, metavar="S", help="start within, or expire"),
            _argument("--deadline", type=float, metavar="S", help="end within, or fail (expire)"),
            _argument("--max-attempts", type=int),
            _LABELS,
            _argument("--webhook", metavar="URL", help="tell it; a secret is made and printed"),
            _argument("--webhook-secret", metavar="whsec_…", help="your own, instead"),
            _argument("--key", help="Idempotency-Key: the same key is the same job"),
            _argument("--target", help="the one target that may run it"),
            _argument("--wait", action="store_true", help="wait, and print the result"),
            _WAIT,
        ],
    ),
    "list": (
        list_jobs,
        [
            _argument("--state"),
            _argument("--model"),
            _argument("--client"),
            _argument("--source", choices=["sync", "async"]),
            _LABELS,
            _LIMIT,
        ],
    ),
    "show": (show, [_ID]),
    "cancel": (cancel, [_ID]),
    "retry": (retry, [_ID]),
    "wait": (wait, [_ID, _WAIT]),
    "result": (result, [_ID]),
}
_DELIVERIES: dict[str, _Verb] = {
    "list": (list_deliveries, [_argument("job", nargs="?"), _argument("--state"), _LIMIT]),
    "redeliver": (redeliver, [_ID]),
    "replay": (
        replay,
        [
            _argument("--since", required=True, metavar="TIME", help="2026-01-31T00:00:00Z"),
            _argument("--until", metavar="TIME", help="the end of the time span; default: now"),
            _argument("--state", help="only those in this state, such as failed"),
            _argument("--dry-run", action="store_true", help="only count them"),
            _argument("--yes", action="store_true", help="do not ask"),
        ],
    ),
}


def _add_verbs(group: argparse.ArgumentParser, *, verbs: dict[str, _Verb]) -> None:
    each = group.add_subparsers(required=True, metavar="COMMAND")
    for verb, (action, arguments) in verbs.items():
        parser = each.add_parser(verb, help=action.__doc__)
        parser.set_defaults(action=asking, verb=action)
        parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
        for flags, options in arguments:
            parser.add_argument(*flags, **options)


add_jobs = partial(_add_verbs, verbs=_JOBS)
add_deliveries = partial(_add_verbs, verbs=_DELIVERIES)
