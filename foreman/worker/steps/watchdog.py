"""A worker that takes nothing while jobs wait for it has gone deaf.

Whatever the cause may be (a consumer that the broker forgot, a thread that hangs in a socket), the
cure is the same: a new connection, and if that does not help, a new process.
"""

from collections.abc import Iterator

from foreman.worker.effects import CRITICAL, ERROR, GiveUp, Log, Reconnect
from foreman.worker.state import LoadStage, State
from foreman.worker.steps.plan import demands_of
from foreman.worker.steps.turn import Turn

# Longer than a lost message takes to be sent again (a minute), so that silence is not the broker's.
DEAF_S = 90.0


def tend(turn: Turn) -> None:
    """Look, and do what has to be done."""
    state = turn.state
    # 1. It has its hands full, or no target to work for: it need not listen.
    is_loading = state.load is not None and state.load.stage is not LoadStage.PULLING
    is_idle = not state.jobs and not is_loading
    if not (state.serves and is_idle):
        turn.change_pulls(quiet_since=turn.now)
        return
    # 2. It has been quiet for a short time only.
    deaf_at = state.pulls.quiet_since + DEAF_S
    if turn.now < deaf_at:
        turn.wake_by(deaf_at)
        return
    # 3. Nothing that it should have taken has waited for so long, by what the database says now.
    if min(_heads(state), default=turn.now) > turn.now - DEAF_S:
        turn.change_pulls(quiet_since=turn.now, has_reconnected=False)
        return
    # 4. It is deaf: first a new connection, then a new process.
    has_reconnected = state.pulls.has_reconnected
    turn.change_pulls(quiet_since=turn.now, has_reconnected=True)
    if has_reconnected:
        turn.do(Log(CRITICAL, "worker takes no jobs and ends, to be started again", {}), GiveUp())
    else:
        turn.do(Log(ERROR, "worker takes no jobs while some wait: new connection", {}))
        turn.do(Reconnect())


def _heads(state: State) -> Iterator[float]:
    """When the oldest jobs came that this target could serve; none where that is not known."""
    if state.view.at < state.now - DEAF_S / 2:
        return
    for each in demands_of(state):
        if not each.is_elsewhere and each.queue not in state.plan.stuck:
            yield each.head_at()
