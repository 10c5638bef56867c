"""Keep the catalog's lists young: each target has a periodic task, so none waits for another."""

from functools import partial

from foreman.adapters.catalog import Catalog
from foreman.periodic import PeriodicTasks


def keep_lists(tasks: PeriodicTasks, catalog: Catalog) -> None:
    """Query each target again and again, more often while it is away."""
    for name in catalog.targets:
        every_s = partial(catalog.refresh_every_s, name)
        tasks.start(f"list of {name}", every_s, partial(catalog.refresh_target, name))
