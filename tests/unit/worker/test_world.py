"""A worker in a simulated world."""

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from foreman.core.queues import JobClass
from foreman.scheduling.room import Room
from foreman.scheduling.values import VisitRules
from foreman.worker.state import Stage
from tests.unit.worker.memory import Memory
from tests.unit.worker.scene import setup
from tests.unit.worker.world import World


def agents(world: World, models: list[str], *, jobs: int, think_s: float, run_s: float) -> None:
    """A client for each model, which asks, thinks, and asks again."""

    def ask(model: str, left: int) -> None:
        row = world.submit(model, run_s)

        def look() -> None:
            if not row.is_over:
                world.after(0.01, look)
            elif left > 1:
                world.after(think_s, lambda: ask(model, left - 1))

        look()

    world.models |= set(models)
    for model in models:
        ask(model, jobs)


def last_start(world: World) -> float:
    return max(row.started_at or 0.0 for row in world.rows.values())


def test_three_models_that_fit_are_loaded_three_times() -> None:
    world = World(setup(), Memory(3, load_s=3), Room())
    world.start()
    world.run(1)

    agents(world, ["a:latest", "b:latest", "c:latest"], jobs=15, think_s=0.2, run_s=0.5)
    world.run(60)

    assert not world.unserved()
    assert len(world.loads) == 3
    assert last_start(world) < 30, "straight to the target: 19.6 s"


def test_two_agents_on_one_place() -> None:
    world = World(setup(), Memory(1, load_s=3), Room(residents=1))
    world.start()
    world.run(1)

    agents(world, ["a:latest", "b:latest"], jobs=15, think_s=0.2, run_s=0.5)
    world.run(200)

    assert not world.unserved()
    assert len(world.loads) <= 18, "a load for every job would be 30"
    assert last_start(world) < 70, "which took 105 s"


# Random worlds

TIGHT = VisitRules(max_wait_interactive_s=4, max_wait_batch_s=10, job_limit_s=2, min_visit_swaps=2)
# The same worlds at every run: a rare one that fails says nothing of the change at hand.
RANDOM = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A target with room for one to three of up to five models, whose room is stated or not."""
    places = draw(st.integers(1, 3))
    memory = Memory(places, load_s=draw(st.sampled_from([0.2, 1.0])))
    room = Room(residents=places) if draw(st.booleans()) else Room()
    tight = setup(rules=TIGHT, slots={"gpu": draw(st.integers(1, 3))}, lease_s=6.0)
    return World(tight, memory, room, seed=draw(st.integers(0, 10**6)))


def jobs_come(world: World, *, seconds: float, models: int, per_s: float) -> None:
    """At random, of both classes; some have other options, and some let the model go."""
    names = [f"m{number}:latest" for number in range(models)]
    world.models |= set(names)

    def come() -> None:
        if world.now > until:
            return
        pick = world.random
        row = world.submit(
            pick.choice(names),
            pick.expovariate(1 / 0.3),
            job_class=pick.choice(list(JobClass)),
            options='{"num_ctx":1}' if pick.random() < 0.05 else "",
            unloads=pick.random() < 0.05,
        )
        row.run_s = min(row.run_s, 2.0)
        if pick.random() < 0.1:
            world.after(pick.uniform(0, 5), lambda: world.cancel(row))
        world.after(pick.expovariate(per_s), come)

    until = world.now + seconds
    come()


LOADS = {"models": st.integers(1, 5), "per_s": st.sampled_from([0.5, 2.0, 6.0])}


@RANDOM
@given(world=worlds(), **LOADS)
def test_every_job_is_served_and_the_worker_comes_to_rest(
    world: World, models: int, per_s: float
) -> None:
    world.faults.late_messages = world.faults.double_messages = 0.1
    world.start()
    jobs_come(world, seconds=20, models=models, per_s=per_s)

    world.run(21)
    world.run_until_served(200)

    assert not world.unserved()
    assert not world.state.jobs
    # Of residencies that no list names: their rows are gone, and nobody listens there. What removes
    # unused queues drops such messages; a worker that listened would make the queues again.
    assert all(world.rows[each].residency.options for each in world.queued())
    assert world.memory.overfull == 0, "nothing is loaded that a busy model is in the way of"
    unloading = sum(row.unloads for row in world.rows.values())
    assert world.own_loads <= unloading, "foreman loads, the target does not have to"
    assert {each.model for each in world.state.residents.values()} == set(world.memory.loaded)


@RANDOM
@given(world=worlds(), **LOADS)
def test_no_residency_is_loaded_later_than_promised(
    world: World, models: int, per_s: float
) -> None:
    world.watches_promises = True
    world.start()
    jobs_come(world, seconds=20, models=models, per_s=per_s)

    world.run(21)
    world.run_until_served(200)

    assert not world.unserved()


@RANDOM
@given(world=worlds(), **LOADS)
def test_a_worker_that_stops_gives_its_target_back(world: World, models: int, per_s: float) -> None:
    world.start()
    jobs_come(world, seconds=20, models=models, per_s=per_s)
    world.run(world.random.uniform(0, 20))

    world.stop()
    world.run(world.now + 0.01)
    handed = sum(job.stage is Stage.HANDED for job in world.state.jobs.values())
    claimed = sum(row.is_claimed for row in world.rows.values())
    world.run(world.now + 8)

    assert world.state.lease is None
    assert not world.state.jobs
    assert not world.memory.at_work
    assert sum(row.is_claimed for row in world.rows.values()) <= claimed + handed


def trouble_comes(world: World, *, seconds: float) -> None:
    """Something goes wrong every few seconds, and is over after a while."""
    faults = world.faults

    def over(**ends: object) -> None:
        for name, value in ends.items():
            setattr(faults, name, value)

    def strike() -> None:
        pick, lasts_s = world.random, world.random.uniform(0.1, 6)
        match pick.randrange(8):
            case 0 if faults.has_broker:
                world.lose_broker(lasts_s)
            case 1 if world.memory.is_alive:
                world.die(lasts_s)
            case 2:
                world.take_lease()
            case 3:
                faults.has_database = False
                world.after(lasts_s, lambda: over(has_database=True))
            case 4:
                faults.is_sick = True
                world.after(lasts_s, lambda: over(is_sick=False))
            case 5:
                world.somebody_loads("other:latest")
            case 6 if world.memory.loaded:
                world.somebody_unloads(pick.choice(sorted(world.memory.loaded)))
            case 7:
                world.refuse(pick.choice(sorted(world.models)), lasts_s)
        if world.now < until:
            world.after(pick.expovariate(0.3), strike)
        else:
            for name in ("late_messages", "lost_messages", "failed_loads", "dropped_tasks"):
                setattr(faults, name, 0.0)

    until = world.now + seconds
    faults.late_messages = faults.lost_messages = faults.double_messages = 0.1
    faults.failed_loads, faults.dropped_tasks = 0.1, 0.02
    world.after(1.0, strike)


@RANDOM
@given(world=worlds(), **LOADS)
def test_whatever_goes_wrong_every_job_is_served_in_the_end(
    world: World, models: int, per_s: float
) -> None:
    world.start()
    jobs_come(world, seconds=20, models=models, per_s=per_s)
    trouble_comes(world, seconds=25)

    world.run(45)
    world.run_until_served(300)

    assert not world.unserved()
    assert not world.state.jobs
    assert {each.model for each in world.state.residents.values()} == set(world.memory.loaded)
