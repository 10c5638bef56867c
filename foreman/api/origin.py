"""The origin of the request that is being answered."""

from flask import request

from foreman.config import Settings
from foreman.core.origin import Origin, origin_of


def current_origin(settings: Settings) -> Origin:
    """Where the current request comes from."""
    return origin_of(list(request.headers.items()), request.remote_addr, settings.trusted_proxies)
