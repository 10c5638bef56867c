"""What the settings say to the scheduling rules."""

from foreman.config import Settings
from foreman.scheduling.values import VisitRules


def visit_rules(settings: Settings) -> VisitRules:
    """The rules that a target is driven by; reports and forecasts use the same."""
    return VisitRules(
        max_wait_interactive_s=settings.max_wait_interactive_s,
        max_wait_batch_s=settings.max_wait_batch_s,
        job_limit_s=settings.job_timeout_s,
        min_visit_swaps=settings.min_visit_swaps,
        linger_s=settings.linger_s,
    )
