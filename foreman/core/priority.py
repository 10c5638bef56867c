"""How urgent a synchronous request is: what its caller says, as the class of its job.

1. X-Foreman-Priority names the class; any other value is refused.
2. `service_tier` of an OpenAI body is "flex", which is OpenAI's own way to ask for a slower and
   cheaper answer: batch. Every other tier, known or not, of any type, says nothing.
3. Neither: interactive, for somebody waits.
"""

from foreman.core.bodies import Look
from foreman.core.frames import Headers
from foreman.core.headers import PRIORITY, find
from foreman.core.queues import JobClass
from foreman.errors import RequestRefused


def named_class(headers: Headers) -> JobClass | None:
    """The class that X-Foreman-Priority names, if it is there; RequestRefused when it is none."""
    name = find(headers, PRIORITY.lower())
    if name is None:
        return None
    try:
        return JobClass(name)
    except ValueError as exc:
        raise RequestRefused(f"{PRIORITY} must be {' or '.join(JobClass)}") from exc


def class_of(named: JobClass | None, look: Look | None) -> JobClass:
    """The class of a request whose header names `named`, with this look at its body."""
    if named is not None:
        return named
    return JobClass.BATCH if look is not None and look.is_flex else JobClass.INTERACTIVE
