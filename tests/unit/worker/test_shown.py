"""What an operator sees: three residents that serve, a fourth residency that waits for a victim."""

import math
from dataclasses import replace

from foreman.core.lease import Lease
from foreman.core.outlook import Costs
from foreman.core.queues import JobClass
from foreman.core.waiting import Waiting
from foreman.scheduling.values import Plan, VisitRules
from foreman.worker.shown import served_queues, shown
from foreman.worker.state import (
    Ask,
    Health,
    Job,
    Load,
    LoadStage,
    Park,
    Pulls,
    Resident,
    Setup,
    Stage,
    State,
    View,
)

SETUP = Setup(VisitRules(), slots={"gpu": 2}, lease_s=15.0, shutdown_s=5.0)
MODELS = ("a", "b", "c")


def waiting(queue: str, count: int, job_class: JobClass = JobClass.INTERACTIVE) -> Waiting:
    return Waiting(queue, job_class, None, queue.removeprefix("model."), 1.0, count)


def busy() -> State:
    residents = {
        f"model.{name}": Resident(f"model.{name}", name, load_s=1.0, visit_at=10.0)
        for name in MODELS
    }
    jobs = {
        number: Job(number, f"job {number}", f"model.{name}", Stage.RUNNING, 11.0)
        for number, name in enumerate(MODELS)
    }
    rows = (waiting("model.d", 3), waiting("model.d", 2, JobClass.BATCH))
    plan = Plan(
        overdue="model.d", lingering=frozenset({"model.b"}), reason="model.d waits for a resident"
    )
    return State(
        SETUP,
        now=20.0,
        lease=Lease("gpu", 1),
        residents=residents,
        jobs=jobs,
        plan=plan,
        view=View(19.0, 0.1, {"model.d": rows}, frozenset(), Costs({})),
        health=Health(is_reachable=True),
        refused=frozenset({"model.e"}),
        undecodable=2,
    )


def test_residents_that_serve_and_what_waits_for_a_victim_are_visible() -> None:
    told = shown(busy(), now=20.0)

    assert told["target"] == "gpu"
    assert [(each["queue"], each["running"], each["dwell_s"]) for each in told["residents"]] == [
        ("model.a", 1, 10.0),
        ("model.b", 1, 10.0),
        ("model.c", 1, 10.0),
    ]
    assert [each["is_lingering"] for each in told["residents"]] == [False, True, False]
    assert told["load"] is None
    assert (told["waiting"], told["overdue"]) == ({"model.d": 5}, "model.d")
    assert told["reason"] == "model.d waits for a resident"
    assert told["refused"] == ["model.e"]
    assert (told["undecodable"], told["running"]) == (2, ["job 0", "job 1", "job 2"])
    assert told["view_age_s"] == 1.0


def test_the_load_under_way_is_shown_with_its_victims() -> None:
    load = Load("model.d", None, "it is overdue", LoadStage.LOADING, 18.0, victims=("model.a",))

    assert shown(replace(busy(), load=load), now=20.0)["load"] == {
        "queue": "model.d",
        "stage": "loading",
        "since_s": 2.0,
        "reason": "it is overdue",
        "victims": ["model.a"],
    }


def test_a_worker_that_does_nothing_says_why() -> None:
    reasons = [
        shown(each, now=20.0)["reason"]
        for each in (
            replace(busy(), stop_at=21.0),
            replace(busy(), lease=None),
            replace(busy(), health=Health(is_reachable=False)),
            replace(busy(), health=Health(is_reachable=True, sick_of="no token")),
        )
    ]

    assert [reason.split()[:3] for reason in reasons] == [
        ["it", "stops:", "nothing"],
        ["it", "has", "no"],
        ["its", "target", "does"],
        ["its", "target", "is"],
    ]
    assert shown(State(SETUP, now=0.0), now=20.0)["view_age_s"] is None


def test_the_queues_that_are_served_are_those_loaded_and_those_listened_to_by_residency() -> None:
    names = frozenset({"model.d", "model.d~batch", "model.e", "model.e~at~gpu"})
    state = replace(busy(), pulls=Pulls(Park(names)))
    closing = replace(state.residents["model.a"], is_closing=True)

    assert served_queues(state) == ["model.a", "model.b", "model.c", "model.d"]
    assert served_queues(replace(state, residents={"model.a": closing})) == ["model.d"]
    assert served_queues(replace(state, residents={}, pulls=Pulls(Ask(("model.d",), False)))) == []
    load = Load("model.f", None, "", LoadStage.LOADING, math.inf)
    assert "model.f" in served_queues(replace(state, load=load))
