"""What a worker is called: two on one machine need two names.

Celery's own default is `celery@HOST`. With it the second worker ends on RabbitMQ, whose control
queues are exclusive, and on Redis Flower shows both as one.
"""

import re
from collections.abc import Mapping

# What Heroku and honcho call a process: worker.1, worker.2.
VARIABLES = ("DYNO", "HONCHO_PROCESS_NAME")


def node_name(host: str, environ: Mapping[str, str], *, random: str) -> str:
    """The name of a worker on `host`: as its platform calls it, or made of `random`."""
    given = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    name = re.sub(r"[^\w.-]", "-", given) or f"worker-{random}"
    return f"{name}@{host}"
