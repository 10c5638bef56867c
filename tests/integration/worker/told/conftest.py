"""The store that the parts of a worker write to and read from."""

from tests.integration.store.conftest import shared_database, store

__all__ = ["shared_database", "store"]
