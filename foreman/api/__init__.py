"""The HTTP surface: a Flask application over one web runtime."""

from flask import Flask

from foreman.api import client, cors, errors, front, headers, hosts, own, redirects, streams
from foreman.api.artifacts import Artifacts
from foreman.api.batch import Batch
from foreman.api.budget import Budget
from foreman.api.deliveries import Ledger
from foreman.api.docs import Docs
from foreman.api.jobs import Jobs
from foreman.api.ollama import OllamaSurface
from foreman.api.operations import Operations
from foreman.api.queues import Queues
from foreman.runtime import WebRuntime


def create_app(runtime: WebRuntime) -> Flask:
    """The application; what it needs is given, nothing is read from the environment."""
    app = Flask("foreman", static_folder=None)
    # Slashes are Ollama's business: see core.surface.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    client.limit_idle_time(app, runtime.settings.client_timeout_s)
    front.install(app)
    streams.install(app)
    settings = runtime.settings
    # One body that is allowed always finds room in an idle process.
    budget = Budget(max(settings.body_budget_bytes, settings.max_body_bytes))
    client.limit_bodies(app, budget, slow_s=settings.client_timeout_s)
    names = hosts.HostNames(runtime.settings.host, runtime.settings.hosts)
    hosts.install(app, names)
    cors.install(app, runtime.settings.origins, names)
    redirects.install(app)
    headers.install(app)
    errors.install(app)
    Operations(runtime).install(app)
    jobs, artifacts = Jobs(runtime), Artifacts(runtime)
    ledger, queues, docs = Ledger(runtime), Queues(runtime), Docs()
    own.install(
        app,
        {
            "submit_job": jobs.submit_job,
            "submit_batch": Batch(runtime).submit_batch,
            "list_jobs": jobs.list_jobs,
            "show_job": jobs.show_job,
            "show_result": artifacts.show_result,
            "list_artifacts": artifacts.list_artifacts,
            "show_artifact": artifacts.show_artifact,
            "list_events": jobs.list_events,
            "cancel_job": jobs.cancel_job,
            "retry_job": jobs.retry_job,
            "list_job_deliveries": ledger.list_job_deliveries,
            "list_deliveries": ledger.list_deliveries,
            "redeliver": ledger.redeliver,
            "replay_deliveries": ledger.replay_deliveries,
            "rotate_secret": ledger.rotate_secret,
            "list_queues": queues.list_queues,
            "list_swaps": queues.list_swaps,
            "openapi": docs.openapi,
            "docs": docs.docs,
        },
    )
    OllamaSurface(runtime).install(app)
    return app
