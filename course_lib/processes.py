"""Processes that work for this one, end with it, and take Ctrl-C as an order and not as a blow."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection


class Worker:
    """One spawned process, in a pool of its own, so that its death costs no other job.

    It holds the reading end of a pipe. A word in it means: write the checkpoint and stop; its
    end means: die at once. The system closes it when this process dies, however it does.
    """

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        orders, self._orders = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, _start, (orders,))
        self._asked = False

    def submit(self, function, *arguments):
        """Hand the process a call; it is started with the first one."""
        with _no_interrupts():  # or Ctrl-C would kill a process that is still importing
            return self._pool.submit(function, *arguments)

    def stop(self):
        """Ask for the checkpoint, once."""
        if not self._asked:
            self._asked = True
            with contextlib.suppress(OSError):  # it is dead already
                self._orders.send_bytes(b"stop")

    def close(self, busy=False):
        """Let the process end; with `busy`, kill it."""
        if busy:
            self._orders.close()
        self._pool.shutdown(wait=True)
        self._orders.close()


@contextlib.contextmanager
def interrupts(second="stopped twice: the last checkpoints may be a minute old"):
    """Turn Ctrl-C into an event, so that nothing is left half done; then restore the handler.

    A second Ctrl-C raises KeyboardInterrupt with the text `second`, or does nothing if it is None.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    def interrupted(number, frame):
        if stop.is_set() and second is not None:
            raise KeyboardInterrupt(second)
        stop.set()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _start(orders):
    """Make a new process one that ends with its parent and heeds Ctrl-C only while it trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    threading.Thread(target=_obey, args=(orders,), daemon=True).start()


def _obey(orders):
    """Wait for orders, and for the parent's death: an orphan must write nothing any more."""
    parent = multiprocessing.parent_process().sentinel
    stopping = False
    while True:
        ready = connection.wait([parent, orders], timeout=0.2 if stopping else None)
        try:
            if parent in ready:
                os._exit(1)
            if orders in ready:
                orders.recv_bytes()
                stopping = True
        except (EOFError, OSError):
            os._exit(1)
        if stopping:  # again and again: the training that is to heed it may not have begun
            _interrupt_the_main_thread()


def _interrupt_the_main_thread():
    """Send it SIGINT, also where it waits for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _no_interrupts():
    """Hold Ctrl-C back while the block runs; processes started in it begin without it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
