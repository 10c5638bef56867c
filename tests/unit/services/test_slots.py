"""Slots: who holds one, and what becomes of the message that brought it."""

import threading

from foreman.services.slots import Slots

ID = "01a206bb-282d-7f0f-aca5-40e46c353034"


class Message:
    """Counts what is done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def acknowledge(self) -> None:
        self.done.append("acknowledged")

    def put_back(self) -> None:
        self.done.append("put back")


def test_a_slot_is_held_from_the_message_to_its_end_and_settles_it_once() -> None:
    slots, message = Slots(), Message()
    slot = slots.take(ID, message.acknowledge, message.put_back)
    assert (slots.running, slots.of(ID)) == (1, slot)

    slots.acknowledge(slot)
    slots.acknowledge(slot)
    assert (slots.running, message.done) == (1, ["acknowledged"])

    slots.free(slot)
    slots.free(slot, is_looked_at=False)
    assert (slots.running, message.done) == (0, ["acknowledged"])


def test_a_message_whose_row_was_not_looked_at_goes_back() -> None:
    slots, message = Slots(), Message()
    slot = slots.take(ID, message.acknowledge, message.put_back)

    slots.free(slot, is_looked_at=False)

    assert message.done == ["put back"]


def test_what_still_records_its_end_does_not_free_the_slot_of_the_same_jobs_next_run() -> None:
    slots, first, second = Slots(), Message(), Message()
    ending = slots.take(ID, first.acknowledge, first.put_back)
    slots.free(ending)
    running = slots.take(ID, second.acknowledge, second.put_back)

    slots.free(ending)
    slots.free(ending, is_looked_at=False)

    assert (slots.running, slots.of(ID)) == (1, running)
    assert (first.done, second.done) == (["acknowledged"], [])


def test_who_waits_for_a_claim_or_for_a_slot_is_woken_at_once() -> None:
    slots, message = Slots(), Message()
    slot = slots.take(ID, message.acknowledge, message.put_back)
    assert not slots.wait_for_free(1, 0)

    waiting = threading.Thread(target=slots.wait_for_claim, args=(slot, 30))
    waiting.start()
    slots.acknowledge(slot)
    waiting.join(5)
    assert not waiting.is_alive()

    waiting = threading.Thread(target=slots.wait_for_free, args=(1, 30))
    waiting.start()
    slots.free(slot)
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_broker_that_takes_no_acknowledgement_is_no_concern_of_the_run() -> None:
    def broken() -> None:
        raise BrokenPipeError(32, "the broker has gone")

    slots = Slots()
    slot = slots.take(ID, broken, broken)

    slots.acknowledge(slot)
    slots.free(slots.take("another", broken, broken), is_looked_at=False)
    slots.free(slot)

    assert slots.running == 0
