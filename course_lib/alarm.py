"""A limit on how long a call may take, so that a loop without end costs only itself."""

import contextlib
import ctypes
import signal
import threading
import time


class TooLong(BaseException):
    """The time is up. No Exception: a loop that passes over every error ends all the same."""


@contextlib.contextmanager
def within(seconds):
    """Raise `TooLong` in the block if it takes longer than this, also of processor time.

    Where it waits, or other processes take the processor, it has twice as long. Code that is not
    Python is stopped when it comes back to Python. In the main thread of Linux and macOS the timer
    of the system is used, and set back afterwards; elsewhere a second thread keeps the time.
    """
    if not seconds > 0:
        raise ValueError(f"seconds must be more than 0, not {seconds}")
    processor, clock = time.process_time(), time.monotonic()

    def up():
        used = time.process_time() - processor
        return used >= seconds or time.monotonic() - clock >= 2 * seconds

    main = threading.current_thread() is threading.main_thread()
    keep = _by_signal if main and hasattr(signal, "setitimer") else _by_thread
    with keep(up, seconds):
        yield


# How often the time is looked at once it may be up, in seconds: an alarm that a loop has caught,
# as it catches everything, is given again.
_AGAIN = 0.5


@contextlib.contextmanager
def _by_signal(up, seconds):
    def ring(number, frame):
        if up():
            raise TooLong

    started = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # also if the alarm came between the two lines
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left:
            left = max(left - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, every)


@contextlib.contextmanager
def _by_thread(up, seconds):
    over, lock, thread = threading.Event(), threading.Lock(), threading.get_ident()

    def deliver(what):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)

    def watch():
        wait = seconds
        while not over.wait(wait):
            wait = _AGAIN
            with lock:
                if up() and not over.is_set():
                    deliver(ctypes.py_object(TooLong))

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            over.set()
            deliver(None)  # one that has not arrived by now must not arrive later
