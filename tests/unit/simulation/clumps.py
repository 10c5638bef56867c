"""Jobs that come in clumps, for Hypothesis: it floods with them, spaces them, and repeats what
comes close to a fault.
"""

from hypothesis import strategies as st

from foreman.core.arrivals import Arrival
from foreman.core.queues import JobClass

# Jobs differ in their arrival by this at least, so that no two things happen at once.
APART_S = 0.000173
# Jobs of one kind that come together: residency, class, seconds of a run, how many, and the pause
# before them.
Rows = list[tuple[str, JobClass, float, int, float]]


def clumps_of(queues: str) -> st.SearchStrategy[Rows]:
    """Up to 25 clumps of these residencies, each named by one letter."""
    return st.lists(
        st.tuples(
            st.sampled_from(queues),
            st.sampled_from(JobClass),
            st.sampled_from([0.25, 1.0, 5.0, 20.0]),
            st.integers(1, 12),
            st.sampled_from([0.0, 0.5, 3.0, 20.0, 100.0]),
        ),
        min_size=1,
        max_size=25,
    )


def arrivals_of(rows: Rows) -> list[Arrival]:
    """The jobs one by one, in order of time."""
    arrivals: list[Arrival] = []
    at = 0.0
    for queue, job_class, seconds, count, pause_s in rows:
        at += pause_s
        for _ in range(count):
            at += APART_S
            arrivals.append(Arrival(at, queue, job_class, seconds))
    return arrivals
