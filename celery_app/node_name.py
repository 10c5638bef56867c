"""Gives each worker a node name of its own before Celery uses it."""

import os
import secrets
from typing import Any

from celery import signals
from celery.utils.nodenames import default_nodename

from foreman.core.node_name import node_name


@signals.celeryd_init.connect
def name_worker(instance: Any, **options: Any) -> None:
    """One that `-n` has given stays."""
    default = default_nodename("")
    if instance.hostname == default:
        host = default.rpartition("@")[2]
        instance.hostname = node_name(host, os.environ, random=secrets.token_hex(3))
