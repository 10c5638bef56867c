"""The HTTP surface: a Flask application over one web runtime."""

from flask import Flask

from foreman.api import cors, errors
from foreman.api.ollama import OllamaSurface
from foreman.api.operations import Operations
from foreman.runtime import WebRuntime


def create_app(runtime: WebRuntime) -> Flask:
    """The application; what it needs is given, nothing is read from the environment."""
    app = Flask("foreman", static_folder=None)
    # Slashes are Ollama's business: see core.surface.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    cors.install(app, runtime.settings.origins)
    errors.install(app)
    Operations(runtime).install(app)
    OllamaSurface(runtime).install(app)
    return app
