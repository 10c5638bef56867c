"""What `celery inspect` and Flower show of a worker, without the password of its broker.

Celery removes the password from every URL that it parses itself. The URL of a broker on a unix
socket is parsed by kombu's transport, and stays whole in the statistics.
"""

from typing import Any

from celery.worker import control
from kombu.utils.url import maybe_sanitize_url


@control.inspect_command(name="stats")
def stats(state: Any) -> dict[str, Any]:
    """Statistics of this worker."""
    shown: dict[str, Any] = state.consumer.controller.stats()
    broker = shown.get("broker")
    if isinstance(broker, dict):  # Celery writes N/A while there is no connection
        shown["broker"] = broker | {"hostname": maybe_sanitize_url(broker["hostname"])}
    return shown
