"""Workers end with whoever started them, and stop when they are asked to."""

import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor

import pytest

from course_lib import processes


def until_interrupted():
    """Do some work that heeds Ctrl-C; a worker imports this file to find it."""
    try:
        with processes.interrupts() as stop:
            return stop.wait(60)
    except KeyboardInterrupt:  # a second order came before the first was carried out
        return True


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def worker():
    worker = processes.Worker()
    yield worker
    worker.close(busy=True)


def test_calls_go_to_one_other_process_that_ignores_ctrl_c(worker):
    pid = worker.submit(os.getpid).result()
    assert pid != os.getpid()
    assert worker.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN
    assert worker.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result() == set()
    os.kill(pid, signal.SIGINT)
    assert worker.submit(os.getpid).result() == pid
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    worker.close()
    assert not exists(pid)


def test_an_order_to_stop_is_heard_even_if_it_comes_before_the_work(worker):
    """The process is still importing when it is asked."""
    future = worker.submit(until_interrupted)
    worker.stop()
    worker.stop()
    assert future.result(timeout=60) is True


def test_a_busy_worker_can_be_killed(worker):
    pid = worker.submit(os.getpid).result()
    future = worker.submit(time.sleep, 60)
    worker.close(busy=True)
    assert isinstance(future.exception(timeout=10), BrokenExecutor) and not exists(pid)


def test_the_first_ctrl_c_is_an_event_the_second_does_not_wait():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="stopped twice"), processes.interrupts() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_goes_without():
    seen, before = [], signal.getsignal(signal.SIGINT)

    def work():
        with processes.interrupts() as stop:
            seen.append((stop.is_set(), signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]
