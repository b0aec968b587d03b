"""Calls of the library made in a fresh Python process, which nothing done in this one reaches.

A notebook's kernel may hold anything: a `torch` that is a number by now, a library whose functions
were replaced. What a test compares with is therefore computed elsewhere. Arguments and results
travel as plain data and arrays, never as code.
"""

import atexit
import contextlib
import importlib
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import threading
import traceback

import numpy as np
import torch

from course_lib import activations, models

# Seconds after which a call is given up: far more than any of them takes.
PATIENCE = 60
_LENGTH = struct.Struct("<Q")
_child = None


def call(function, *arguments, **named):
    """Return what a function of the library returns in a fresh process.

    The process is started by the first call, and ends with this one.

    Parameters
    ----------
    function : function, or its dotted name, such as ``"course_lib.backprop.gradients"``
    arguments, named
        Numbers, strings, None, tensors, arrays, networks (`models.MLP`), activations, the library's
        named tuples, and lists, tuples and dicts of them. The result is made of the same.

    Raises
    ------
    ValueError
        If the function is not the library's, something cannot travel, or the function raises.
    RuntimeError
        If the process died or is silent for 60 seconds.
    """
    if callable(function):
        function = f"{function.__module__}.{function.__qualname__}"
    name = _check(function)
    message = dumps([name, list(arguments), named])
    answer = loads(_running().ask(message))
    if "error" in answer:
        raise ValueError(f"{name}: {answer['error']}")
    return answer["result"]


def _check(name):
    if not str(name).startswith("course_lib.") or not all(map(str.isidentifier, name.split("."))):
        raise ValueError(f"a function of course_lib must be named, not {name!r}")
    return name


# ---- what travels


def dumps(value):
    """Return a value, as `call` allows it, as bytes: an .npz with the structure as JSON."""
    arrays = {}
    structure = json.dumps(_plain(value, arrays))
    file = io.BytesIO()
    np.savez(file, structure=np.frombuffer(structure.encode(), np.uint8), **arrays)
    return file.getvalue()


def loads(data):
    """Return the value that `dumps` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return _value(json.loads(arrays["structure"].tobytes()), arrays)


def _plain(value, arrays):
    """Write a value as JSON; its arrays are put aside, under a name."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        kind = "tensor" if isinstance(value, torch.Tensor) else "array"
        array = np.asarray(value.detach().cpu() if kind == "tensor" else value)
        if array.dtype.hasobject:
            raise ValueError("an array of objects cannot be handed to another process")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {kind: name}
    if isinstance(value, activations.Activation):
        return {"activation": value.name}
    if isinstance(value, models.MLP):
        settings = {k: v for k, v in value.config.items() if k not in ("dtype", "device")}
        settings["dtype"] = str(value.weights[0].dtype).removeprefix("torch.")
        return {"network": settings, "parameters": _plain(value.parameters, arrays)}
    if isinstance(value, dict):
        return {"items": [[_plain(k, arrays), _plain(v, arrays)] for k, v in value.items()]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        where = f"{type(value).__module__}.{type(value).__qualname__}"
        return {"named": where, "entries": [_plain(entry, arrays) for entry in value]}
    if isinstance(value, (list, tuple)):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_plain(entry, arrays) for entry in value]}
    raise ValueError(f"a {type(value).__name__} cannot be handed to another process")


def _value(plain, arrays):
    if not isinstance(plain, dict):
        return plain
    kind, content = next(iter(plain.items()))
    if kind == "tensor":
        return torch.from_numpy(arrays[content])
    if kind == "array":
        return arrays[content]
    if kind == "activation":
        return activations.get(content)
    if kind == "network":
        return _network(content, _value(plain["parameters"], arrays))
    if kind == "items":
        return {_value(k, arrays): _value(v, arrays) for k, v in content}
    entries = [_value(entry, arrays) for entry in plain.get("entries", content)]
    if kind == "named":
        _check(content)
        return _find(content)(*entries)
    return entries if kind == "list" else tuple(entries)


def _network(settings, parameters):
    network = models.MLP(
        settings["sizes"],
        settings["activation"],
        runs=len(settings["seeds"]),
        scheme=settings["schemes"],
        seed=settings["seeds"],
        output_bias=settings["output_bias"],
        dtype=getattr(torch, settings["dtype"]),
    )
    for name, value in network.parameters.items():
        value.copy_(parameters[name])
    return network


def _find(name):
    """Return the object of a dotted name: the longest part that is a module is imported."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        with contextlib.suppress(ModuleNotFoundError):
            found = importlib.import_module(".".join(parts[:end]))
            for part in parts[end:]:
                found = getattr(found, part)
            return found
    raise ValueError(f"there is no {name}")


# ---- the two ends of the pipe


class _Child:
    """A Python process that answers calls, one after the other, until its input ends."""

    def __init__(self):
        library = str(pathlib.Path(__file__).resolve().parents[1])
        paths = [library, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        # -P: a file in the working folder that is called torch.py is nobody's torch. An interrupt
        # goes to the kernel and to all that it has started, and is for the kernel.
        heedless = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                f"{heedless}; from course_lib import fresh; fresh._serve()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.owner = os.getpid()
        atexit.register(self.close)

    def ask(self, message):
        giving_up = threading.Timer(PATIENCE, self.process.kill)
        giving_up.start()
        try:
            self.process.stdin.write(_LENGTH.pack(len(message)) + message)
            self.process.stdin.flush()
            (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
            return self._read(length)
        except BaseException:
            self.close()  # what it may still say would be taken for the next answer
            raise
        finally:
            giving_up.cancel()

    def _read(self, size):
        data = self.process.stdout.read(size)
        if len(data) < size:
            raise RuntimeError(
                f"the reference process has ended, or was silent for {PATIENCE} seconds; "
                "run the cell again"
            )
        return data

    def close(self):
        if self.owner != os.getpid():
            return  # a fork's copy: the process is its parent's
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()
        atexit.unregister(self.close)


def _running():
    global _child
    if _child is None or _child.process.poll() is not None or _child.owner != os.getpid():
        _child = _Child()
    return _child


def _serve():
    """Answer calls from standard input until it ends; what functions print goes nowhere."""
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while head := source.read(_LENGTH.size):
        message = source.read(*_LENGTH.unpack(head))
        try:
            name, arguments, named = loads(message)
            _check(name)
            answer = dumps({"result": _find(name)(*arguments, **named)})
        except Exception as error:
            last = traceback.format_exception_only(error)[-1].strip()
            answer = dumps({"error": last})
        sink.write(_LENGTH.pack(len(answer)) + answer)
        sink.flush()
