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


def module(name):
    """Import and return the module of a benchmark."""
    return importlib.import_module(f"benchmarks.{name}")


def missing(name):
    """Return why a benchmark cannot run on this machine, or None if it can."""
    return getattr(module(name), "missing", lambda: None)()


def record(name, numbers, seconds, folder=RESULTS, origin=None):
    """Write what a benchmark measured to ``folder/name.json``, whole or not at all.

    `origin` is what the benchmark's own module adds to the provenance.

    Raises
    ------
    ValueError
        If there are no results, or one is not a finite number; nothing is written then.
    """
    if not numbers:
        raise ValueError(f"benchmark {name!r} measured nothing")
    for label, value in numbers.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and math.isfinite(value)):
            raise ValueError(f"benchmark {name!r}: {label!r} is {value!r}, not a finite number")
    result = {
        "results": numbers,
        "took_seconds": round(seconds, 1),
        "provenance": storage.provenance() | (origin or {}),
    }
    with storage.atomic_write(folder / f"{name}.json") as file:
        file.write((json.dumps(result, indent=2) + "\n").encode())


def announce(chosen, folder=RESULTS):
    """Return the lines that say what will be run, and about how long each takes."""
    lines, total, unknown = [], 0, 0
    for name in chosen:
        path = folder / f"{name}.json"
        if why := missing(name):
            lines.append(f"  {name:<16} left out: {why}")
        elif path.exists():
            took = json.loads(path.read_text())["took_seconds"]
            total += took
            lines.append(f"  {name:<16} about {took:.0f} s")
        else:
            unknown += 1
            lines.append(f"  {name:<16} not timed before")
    others = f" and {unknown} that nobody timed before" if unknown else ""
    lines.append(
        f"About {math.ceil(total / 60)} minutes in all{others}, where the last results come from. "
        "Leave the machine alone meanwhile; Ctrl-C stops, and keeps what is finished."
    )
    return "\n".join(lines)


def main(arguments):
    unknown = set(arguments) - set(names())
    if unknown:
        return f"No benchmark {', '.join(sorted(unknown))}; there are: {', '.join(names())}"
    chosen = arguments or names()
    print(announce(chosen), flush=True)
    finished = []
    try:
        for name in chosen:
            if missing(name):
                continue
            print(f"\n{name}", flush=True)
            start, benchmark = time.perf_counter(), module(name)
            numbers = benchmark.run()
            origin = getattr(benchmark, "origin", dict)()
            record(name, numbers, time.perf_counter() - start, origin=origin)
            finished.append(name)
            for label, value in numbers.items():
                print(f"  {label:<82} {value:>12,.6g}")
    except KeyboardInterrupt:
        print(f"\nStopped; recorded: {', '.join(finished) or 'nothing'}.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
