"""What gunicorn's master imports, and what its worker imports that gevent does not patch.

No driver and no HTTP client: those are imported after the patch, or they would block.
"""

import flask
import gunicorn.app.wsgiapp  # type: ignore[import-untyped]  # it has no types
import pydantic
import sqlalchemy.dialects.postgresql
import sqlalchemy.orm

import foreman.config
import foreman.front.worker
from tests.warm.forking import serve

__all__ = ["flask", "foreman", "gunicorn", "pydantic", "sqlalchemy"]

if __name__ == "__main__":
    serve()
