"""Run the benchmarks named, or all: print what they measured, and record it with its origin."""

import importlib
import json
import math
import pkgutil
import sys
import time
from pathlib import Path

import benchmarks
from course_lib import storage

RESULTS = Path(__file__).with_name("results")


def names():
    """Return the names of the benchmarks, in alphabetical order."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(name for name in found if not name.startswith("_"))


def record(name, numbers, seconds, folder=RESULTS):
    """Write what a benchmark measured to ``folder/name.json``, whole or not at all.

    Raises
    ------
    ValueError
        If a result is not a finite number; nothing is written then.
    """
    for label, value in numbers.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value)):
            raise ValueError(f"benchmark {name!r}: {label!r} is {value!r}, not a finite number")
    result = {
        "results": numbers,
        "took_seconds": round(seconds, 1),
        "provenance": storage.provenance(),
    }
    with storage.atomic_write(folder / f"{name}.json") as file:
        file.write((json.dumps(result, indent=2) + "\n").encode())


def main(arguments):
    unknown = set(arguments) - set(names())
    if unknown:
        return f"No benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}"
    for name in arguments or names():
        print(name, flush=True)
        start = time.perf_counter()
        numbers = importlib.import_module(f"benchmarks.{name}").run()
        record(name, numbers, time.perf_counter() - start)
        for label, value in numbers.items():
            print(f"  {label:<50} {value:>14,.6g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
