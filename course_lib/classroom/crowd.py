"""How many processes and threads a student's code has started, and the end of all when too many.

Only Linux says whose child a process is cheaply enough to look ten times a second, and only there
orphans come back to this process. Elsewhere nothing is counted.
"""

import contextlib
import ctypes
import os
import pathlib
import platform
import re
import signal
import threading
import time

_EVERY = 0.05
_PROC = pathlib.Path("/proc")
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, of linux/prctl.h


def counted_apart():
    """Whether the kernel counts the processes of a user namespace by themselves: Linux 5.14 on.

    Before, the limit was one for all processes of the user, whatever they do elsewhere. It is not
    applied to root.
    """
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return platform.system() == "Linux" and (int(found[1]), int(found[2])) >= (5, 14)


class Watch:
    """Counts this process's descendants from now on, and kills them all above a limit."""

    def __init__(self, limit):
        self.limit, self._ended, self._killing = limit, False, threading.Lock()
        self.able = (_PROC / "self/task" / str(os.getpid()) / "children").is_file()
        if self.able:
            # Whose parent has ended becomes a child of this process: nobody slips away.
            ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
            threading.Thread(target=self._look, daemon=True).start()

    def ended(self):
        """Whether they were killed since this was asked last; it waits until all of them are."""
        with self._killing:
            was, self._ended = self._ended, False
        return was

    def _look(self):
        while True:
            time.sleep(_EVERY)
            there = descendants()
            if sum(map(_threads, there)) > self.limit:
                _bury(there)
                with self._killing:  # nothing new is started meanwhile, which would be killed, too
                    if sum(map(_threads, descendants())) > self.limit:
                        self._ended = True
                        _kill_all()


def descendants():
    """Return the process ids of this process's children, their children, and so on."""
    found, waiting = [], [os.getpid()]
    while waiting:
        pid = waiting.pop()
        children = [
            int(child)
            for path in _tasks(pid)
            for child in _read(_PROC / str(pid) / "task" / path / "children").split()
        ]
        found += children
        waiting += children
    return found


def _tasks(pid):
    with contextlib.suppress(OSError):
        return os.listdir(_PROC / str(pid) / "task")
    return []


def _threads(pid):
    return len(_tasks(pid))


def _read(path):
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def _kill_all():
    """Kill all descendants; stopped ones first, for what is stopped starts nothing."""
    until = time.monotonic() + 10
    while (there := descendants()) and time.monotonic() < until:
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in there:
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
        _bury(there)


def _bury(processes):
    """Wait for those that are dead and have no other parent, so that they count no more."""
    for pid in processes:
        with contextlib.suppress(OSError):
            os.waitpid(pid, os.WNOHANG)
