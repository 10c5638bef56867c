"""The HTTP surface: a Flask application over one web runtime."""

from flask import Flask

from foreman.api import client, cors, errors
from foreman.api.ollama import OllamaSurface
from foreman.api.operations import Operations
from foreman.runtime import WebRuntime


def create_app(runtime: WebRuntime) -> Flask:
    """The application; what it needs is given, nothing is read from the environment."""
    app = Flask("foreman", static_folder=None)
    # Slashes are Ollama's business: see core.surface.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    client.limit_idle_time(app, runtime.settings.client_timeout_s)
    cors.install(app, runtime.settings.origins)
    errors.install(app)
    Operations(runtime).install(app)
    OllamaSurface(runtime).install(app)
    return app
