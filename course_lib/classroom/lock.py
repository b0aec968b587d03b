"""One run at a time works on a course folder; a second one is told of the first.

The lock is the system's, on an open file: it ends with the process that holds it, however that
ends, so that what a killed run leaves behind stops nobody. The file says who holds it.
"""

import contextlib
import datetime
import json
import os
import platform
import warnings

NAME = "course.lock"
# Where the locked byte is on Windows: beyond the text, which others may then read.
_BEYOND = 1 << 30


class Busy(RuntimeError):
    """Another run works on the course; the text says which."""


@contextlib.contextmanager
def held(folder, what):
    """Hold the lock of a course folder while the block runs.

    Where the file system knows no locks, as some network drives, a warning says so.

    Parameters
    ----------
    folder : pathlib.Path;  what : str, such as "grading ps2"

    Raises
    ------
    Busy
        If another run holds it: what it does, in which process, and since when.
    """
    path = folder / NAME
    file = _locked(path)
    try:
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        mine = {"what": what, "process": os.getpid(), "machine": platform.node(), "since": now}
        os.ftruncate(file, 0)
        os.write(file, json.dumps(mine).encode())
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file
            path.unlink()
        os.close(file)


def _locked(path):
    """Return the file of a path, open and locked."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            os.close(file)
            raise Busy(_words(path)) from None
        except OSError as error:
            warnings.warn(f"{path} cannot be locked ({error}): start no second run", stacklevel=4)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        os.close(file)  # its last holder has removed it meanwhile: another file counts now


def _lock(file):
    """Lock an open file; BlockingIOError, on Windows PermissionError, if another has done so."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(file, _BEYOND, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        os.lseek(file, 0, os.SEEK_SET)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _words(path):
    try:
        other = json.loads(path.read_text(encoding="utf-8"))
        who = (
            f"{other['what']}, process {other['process']} on {other['machine']}, since "
            f"{other['since']}"
        )
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun, or ended
        who = "it has only just begun"
    return f"another run works on {path.parent}: {who}. Wait for it, or stop it; nothing is lost"
