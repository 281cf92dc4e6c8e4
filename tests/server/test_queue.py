"""The queue for the accelerator: turns in order, nobody starved, nobody stuck behind one who is
gone.
"""

import threading

import pytest

from ui.server.turns import BusyError, QueuePosition, Turns


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_turns_come_in_order_and_a_place_is_told():
    clock = Clock()
    turns = Turns(clock=clock)
    with turns.ticket() as first, turns.ticket() as second:
        assert turns.wait(first, 0) is None
        clock.now += 2
        assert turns.wait(second, 0) == QueuePosition(
            ahead=1, seconds=0.0
        )  # nothing is known yet of how long turns take
        turns._leave(first)
        assert turns.wait(second, 0) is None
    with turns, turns.ticket() as third:
        assert turns.wait(third, 0).ahead == 1
    assert turns.waiting == 0


def test_waiting_time_follows_the_turns_there_were():
    clock = Clock()
    turns = Turns(clock=clock)
    for seconds in (2, 2):
        with turns:
            clock.now += seconds
    with turns, turns.ticket() as one, turns.ticket() as two:
        assert turns.wait(one, 0) == QueuePosition(1, 2.0)
        assert turns.wait(two, 0) == QueuePosition(2, 4.0)


def test_a_long_run_and_a_short_one_alternate():
    turns, order = Turns(), []
    started = threading.Barrier(2)

    def run(name, count):
        started.wait()
        for _ in range(count):
            with turns.ticket() as ticket:
                assert turns.wait(ticket, 10) is None
                order.append(name)
                # The other has asked meanwhile: so what comes next is its turn.
                while turns.waiting == 0 and order.count("short") < 5:
                    pass

    runs = [threading.Thread(target=run, args=job) for job in (("long", 20), ("short", 5))]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join(20)
    assert order.index("short") <= 1
    assert [name for name in order if name == "short"] == ["short"] * 5
    last_short = len(order) - 1 - order[::-1].index("short")
    assert last_short <= 10


def test_one_who_does_not_listen_is_passed_over_and_keeps_the_place():
    turns = Turns()
    with turns.ticket() as slow, turns.ticket() as quick:
        assert turns.wait(quick, 0) is None  # the page of the first reads slowly, or is gone
        assert turns.wait(slow, 0) == QueuePosition(1, 0.0)


def test_an_abandoned_generator_leaves_the_queue():
    turns = Turns()

    def waiting():
        with turns.ticket() as ticket:
            while turns.wait(ticket, 0) is not None:
                yield "place"

    with turns:
        generator = waiting()
        next(generator)
        assert turns.waiting == 1
        del generator
        assert turns.waiting == 0


def test_more_runs_than_allowed_are_refused_in_a_sentence():
    turns = Turns(most=2)
    over = [turns.admit(), turns.admit()]
    with pytest.raises(BusyError, match="2 runs are under way here"):
        turns.admit()
    over[0]()
    over[0]()  # once more changes nothing
    assert turns.runs == 1
    turns.admit()
