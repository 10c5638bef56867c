"""The store that a worker's own parts write to and read from."""

from tests.integration.store.conftest import shared_database, store

__all__ = ["shared_database", "store"]
