"""What takes too long is stopped, wherever it runs, and every timer is as it was before."""

import signal
import threading
import time

import pytest

from course_lib import alarm

POSIX = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="timers of POSIX")


def endless():
    while True:
        pass


def swallows():
    """A loop that catches everything at first, and every error for ever."""
    until = time.monotonic() + 0.5
    while True:
        try:
            endless()
        except Exception:
            pass
        except BaseException:
            if time.monotonic() > until:
                raise


def seconds_until_stopped(function, limit):
    started = time.monotonic()
    with pytest.raises(alarm.TooLong), alarm.within(limit):
        function()
    return time.monotonic() - started


@pytest.fixture(params=["main", "other"])
def anywhere(request):
    """Runs a function in the main thread, or in another, and returns what it returns."""

    def run(function, *given):
        if request.param == "main":
            return function(*given)
        found = []
        thread = threading.Thread(target=lambda: found.append(function(*given)))
        thread.start()
        thread.join(60)
        return found[0]

    return run


def test_what_is_quick_is_left_alone(anywhere):
    def quick():
        with alarm.within(0.2):
            found = sum(range(10))
        time.sleep(0.5)  # no alarm comes later
        return sum(range(20_000)) and found

    assert anywhere(quick) == 45


def test_a_loop_is_stopped_also_one_that_catches_everything(anywhere):
    assert 0.2 <= anywhere(seconds_until_stopped, endless, 0.2) < 5
    assert 0.5 <= anywhere(seconds_until_stopped, swallows, 0.2) < 5


@POSIX
def test_waiting_has_twice_as_long():
    assert 0.8 <= seconds_until_stopped(lambda: time.sleep(60), 0.4) < 3
    started = time.process_time()
    with alarm.within(2):
        time.sleep(2.2)
    assert time.process_time() - started < 1


@POSIX
def test_handler_and_timer_are_put_back():
    rung = []

    def ring(*given):
        rung.append(time.monotonic())

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 60)
        for _ in range(2):
            with alarm.within(5):
                pass
            seconds_until_stopped(endless, 0.2)
            assert signal.getsignal(signal.SIGALRM) is ring
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        assert 50 < left < 60
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        seconds_until_stopped(endless, 0.3)
        time.sleep(0.1)
        assert len(rung) == 1, "an alarm that fell due meanwhile comes afterwards"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@POSIX
def test_one_within_another():
    with pytest.raises(alarm.TooLong), alarm.within(0.5):
        with pytest.raises(alarm.TooLong), alarm.within(0.1):
            endless()
        endless()


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_limit_is_more_than_nothing(seconds):
    with pytest.raises(ValueError, match="more than 0"), alarm.within(seconds):
        pass
