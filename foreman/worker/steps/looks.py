"""Views of what waits, and observations of what the target has loaded.

The target's own list is the truth: somebody else may load and unload there, too.
"""

from collections.abc import Mapping
from dataclasses import replace

from foreman.core.queues import Residency
from foreman.core.residents import ResidentRow
from foreman.scheduling.room import Room
from foreman.worker.effects import KeepLoaded, Look, Observe, SaveRoom, TellResidents
from foreman.worker.events import Listed, Observed, Viewed
from foreman.worker.state import LONG_AGO, Resident
from foreman.worker.steps.loads import keep_alive_s, leave
from foreman.worker.steps.turn import Turn

# How old a view may be; the waits that it is for are 30 s and more.
LOOK_EVERY_S = 0.25
# With very many rows a look takes longer: then at most a tenth of the time is spent on it.
LOOK_SHARE = 10
# After the database did not answer.
RETRY_S = 1.0
OBSERVE_EVERY_S = 2.0
# A kept model is asked to stay when less than this part of its time is left, or than this time at
# most. Where others have loaded it, it would be the first that Ollama takes for another one.
RENEW_SHARE, RENEW_LIMIT_S = 0.5, 3600.0
# So long the end of a visit is remembered here, and its last answer; its row says it, too.
LEFT_KEPT_S = 600.0


def on_viewed(turn: Turn, event: Viewed) -> None:
    view = event.view
    if event.lease != turn.state.lease:
        return  # it is of the target before
    if view is None:
        turn.change(is_looking=False, retry_at=turn.now + RETRY_S)
        return
    pause_s = max(LOOK_EVERY_S, LOOK_SHARE * view.took_s)
    turn.change(is_looking=False, view=view, look_at=view.at + pause_s)
    pulls = turn.state.pulls
    turn.change_pulls(
        left_out={queue: until for queue, until in pulls.left_out.items() if until > turn.now},
        late_since={queue: at for queue, at in pulls.late_since.items() if queue in view.waiting},
    )
    _forget(turn)
    for each in turn.state.residents.values():
        if each.is_pinned != (each.model in view.kept):
            turn.put_resident(replace(each, is_pinned=not each.is_pinned))


def _forget(turn: Turn) -> None:
    """What is of no use any more."""
    state, waiting = turn.state, turn.state.view.waiting
    paused = {queue: until for queue, until in state.paused_until.items() if until > turn.now}
    pins = {queue: until for queue, until in state.pins_paused_until.items() if until > turn.now}
    kept_from = turn.now - LEFT_KEPT_S
    turn.change(
        paused_until=paused,
        pins_paused_until=pins,
        failures={q: n for q, n in state.failures.items() if q in paused or q in waiting},
        left_at={q: at for q, at in state.left_at.items() if q in waiting or at > kept_from},
        answered_at={q: at for q, at in state.answered_at.items() if at > kept_from},
    )


def look(turn: Turn, *, is_needed: bool = False) -> None:
    """Ask for a view if there is none under way and it is time, or a decision waits for one."""
    state = turn.state
    if state.lease is None or state.is_looking:
        return
    look_at = max(LONG_AGO if is_needed else state.look_at, state.retry_at)
    if turn.now >= look_at:
        turn.change(is_looking=True)
        turn.do(Look(state.lease))
    else:
        turn.wake_by(look_at)


def observe(turn: Turn) -> None:
    """Ask the target what it has loaded, now and then; not while it loads."""
    state = turn.state
    if state.lease is None or state.is_observing or state.load is not None:
        return
    if not state.health.is_reachable:
        return
    if turn.now >= state.observe_at:
        turn.change(is_observing=True)
        turn.do(Observe(state.lease))
    else:
        turn.wake_by(state.observe_at)


def on_observed(turn: Turn, event: Observed) -> None:
    """Make the residents what the target has, and learn from seeing them together."""
    turn.change(is_observing=False, observe_at=turn.now + OBSERVE_EVERY_S)
    state = turn.state
    if event.listed is None or state.load is not None or event.began_at < state.loaded_at:
        return
    _drop_gone(turn, event.listed)
    _take_in(turn, event.listed)
    _keep(turn, event.listed)
    listed = event.listed
    residents = turn.state.residents.values()
    sizes = {each.queue: each.size_bytes for each in residents if each.model in listed}
    if all(sizes.values()):
        turn.change(room=turn.state.room.seen(sizes))


def _drop_gone(turn: Turn, listed: Mapping[str, Listed]) -> None:
    for each in list(turn.state.residents.values()):
        entry = listed.get(each.model)
        if entry is not None:
            is_doubted = each.is_doubted and each.unloads
            changed = replace(each, size_bytes=entry.size_bytes, is_doubted=is_doubted)
            if changed != each:
                turn.put_resident(changed)
        elif turn.state.running(each.queue):
            turn.change_resident(each.queue, is_doubted=True)  # its run will say
        else:
            leave(turn, each.queue)
            turn.change(changed_at=turn.now)


def _take_in(turn: Turn, listed: Mapping[str, Listed]) -> None:
    """What somebody else has loaded is a resident like the others."""
    known = {each.model for each in turn.state.residents.values()}
    for model, entry in listed.items():
        if model not in known:
            queue = Residency(model).queue
            is_pinned = model in turn.state.view.kept
            turn.put_resident(
                Resident(queue, model, turn.now, size_bytes=entry.size_bytes, is_pinned=is_pinned)
            )
            turn.change(changed_at=turn.now)


def _keep(turn: Turn, listed: Mapping[str, Listed]) -> None:
    lease, kept = turn.state.lease, turn.state.view.kept
    if lease is None or turn.state.health.sick_of is not None:
        return
    for model, entry in listed.items():
        # A request that names no options would load it anew where it runs with some.
        is_plain = Residency(model).queue in turn.state.residents
        if model not in kept or not is_plain:
            continue
        keep_s = keep_alive_s(turn, model)
        if entry.expires_in_s < min(RENEW_SHARE * keep_s, RENEW_LIMIT_S):
            turn.do(KeepLoaded(lease, model, keep_s))


def tell(turn: Turn, room_before: Room) -> None:
    """Write down the residents and the room, where they have changed."""
    state = turn.state
    if state.lease is None:
        return
    told = tuple((each.queue, each.size_bytes, each.is_pinned) for each in state.residents.values())
    if told != state.told:
        turn.change(told=told)
        rows = (
            ResidentRow(each.queue, each.model, each.size_bytes, each.is_pinned)
            for each in state.residents.values()
        )
        turn.do(TellResidents(state.lease, tuple(rows)))
    if state.room != room_before:
        turn.do(SaveRoom(state.lease, state.room))
