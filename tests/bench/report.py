"""The figures as Markdown for people and as JSON for comparing."""

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import Section

PACKAGES = ("celery", "kombu", "gevent", "gunicorn", "flask", "psycopg", "sqlalchemy", "redis")


def markdown(sections: list[Section], facts: Mapping[str, str]) -> str:
    """The whole report."""
    parts = ["# Performance", _how(facts), *map(section, sections)]
    return "\n\n".join(parts) + "\n"


def raw_json(sections: list[Section], facts: Mapping[str, str]) -> str:
    """Everything that was measured."""
    return json.dumps({"facts": facts, "sections": [asdict(each) for each in sections]}, indent=1)


def machine() -> dict[str, str]:
    """What ran where."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores ({_processor()}), {platform.system()}"
        f" {platform.release()}",
        "Python": platform.python_version(),
        "packages": versions,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _how(facts: Mapping[str, str]) -> str:
    told = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    return (
        "Measured by `python -m tests.bench`: everything on one machine, the load too. *direct* is"
        " straight to the simulated Ollama, *proxy* a plain gunicorn + gevent + requests proxy with"
        " no queue (`tests/bench/proxy.py`). One web process, one worker, one relay; PostgreSQL"
        " with its durable defaults. The ways were measured in turns; *others* is what processes"
        f" outside the measured way took of the machine meanwhile.\n\n{told}"
    )


def section(told: Section, level: int = 2) -> str:
    """One benchmark's answer, below a heading of that level."""
    rows = [told.header, tuple("---" for _ in told.header), *told.rows]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    aims = "\n".join(
        f"- {'met' if aim.is_met else '**missed**'}: {aim.text}; found {aim.found}"
        for aim in told.aims
    )
    parts = [f"{'#' * level} {told.title}", told.load, table, aims]
    return "\n\n".join(part for part in parts if part)
