"""The command line: ``hard-to-train list | reproduce | claims | results | data | assign``."""

import argparse
import csv
import io
import pathlib
import sys
import time

from course_lib import (
    __version__,
    claims,
    datasets,
    engine,
    experiments,
    figures,
    plots,
    reproduce,
    results,
    storage,
    sweeps,
)
from course_lib.classroom import command as classroom

SCALES = ("lesson", "workstation", "paper")


def main(arguments=None):
    """Run the command line; return the exit status: 0, 2 for an error, 130 for Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="hard-to-train",
        description="Hard to Train: Glorot & Bengio (2010), run line by line.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("list", help="list the experiments, and how long each takes")
    again = commands.add_parser("reproduce", help="reproduce a figure or a table of the paper")
    again.add_argument("name", choices=list(experiments.EXPERIMENTS), metavar="NAME")
    again.add_argument("--scale", default="lesson", help="as `list` names them")
    again.add_argument("--seeds", type=int, help="how many, in place of the scale's own number")
    again.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    again.add_argument("--threads", type=int, default=1, help="of one job (default: 1)")
    again.add_argument("--cluster", metavar="ADDRESS", help="of a Dask scheduler that you trust")
    again.add_argument(
        "--reencoded",
        action="store_true",
        help="take CIFAR-10 files that are not the official bytes; the results say so",
    )
    again.add_argument(
        "--out",
        type=pathlib.Path,
        default=pathlib.Path("hard-to-train"),
        metavar="FOLDER",
        help="for what is measured (default: hard-to-train); a stopped command goes on from there",
    )
    commands.add_parser("claims", help="print the ledger of the paper's claims with its verdicts")
    commands.add_parser("results", help="list the measured results that come with the package")
    data = commands.add_parser("data", help="fetch a data set and check it")
    data.add_argument("name", choices=["mnist", "cifar10"])
    classroom.add_to(commands)

    given = parser.parse_args(arguments)
    try:
        return _COMMANDS[given.command](given) or 0
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"hard-to-train: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"\nhard-to-train: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def _list(given):
    rows = []
    for name, experiment in experiments.EXPERIMENTS.items():
        row = {"name": name, "what": experiment.figure}
        for scale in SCALES:
            device = "cuda" if scale == "paper" else "cpu"
            plan = reproduce.plan(name, scale, device=device)
            row[scale] = duration(plan.seconds)
        rows.append(row | {"shows": experiment.shows})
    print(_aligned(rows))
    print(
        "\nTimes are rough: lesson and workstation on this machine's processor, paper on one GPU."
        "\nhard-to-train reproduce NAME --scale lesson|workstation|paper; other scales are widths:"
        f"\n{_others()}"
    )


def _others():
    """Name the scales that only some experiments have, such as workstation-100."""
    lines = []
    for name, experiment in experiments.EXPERIMENTS.items():
        others = [scale for scale in experiment.scales if scale not in SCALES]
        lines += [f"  {name}: {', '.join(others)}"] if others else []
    return "\n".join(lines)


def _reproduce(given):
    if given.threads < 1:
        raise ValueError(f"--threads must be at least 1, not {given.threads}")
    experiment = experiments.find(given.name, given.scale)
    device = reproduce.resolve(given.device, bool(given.cluster))
    workers = 1 if given.cluster else None
    plan = reproduce.plan(
        given.name,
        given.scale,
        given.seeds,
        device,
        given.threads,
        workers=workers,
        reencoded=given.reencoded,
    )
    print(f"{given.name} at scale {given.scale}, {experiment.figure}: {experiment.shows}")
    print(_planned(plan, given), flush=True)
    given.out.mkdir(parents=True, exist_ok=True)  # said before the training, not after it
    executor = sweeps.cluster(given.cluster) if given.cluster else None
    started = time.monotonic()
    history = reproduce.run(
        given.name,
        given.scale,
        given.out,
        given.seeds,
        device,
        given.threads,
        executor,
        True,
        given.reencoded,
    )
    own = "" if given.seeds is None else f"-{given.seeds}seeds"
    to = given.out / f"{given.name}-{given.scale}{own}"
    history.save(to.with_suffix(".npz"))
    reproduce.tidy(given.name, given.scale, given.out)
    shown = figures.show(given.name, history)
    with storage.atomic_write(to.with_suffix(".svg")) as file:
        file.write(plots.svg(shown.figure, shown.alt).encode())
    with storage.atomic_write(to.with_suffix(".csv")) as file:
        file.write(_csv(shown.rows).encode())
    print(f"\n{_aligned(shown.rows)}\n\n{shown.alt}")
    if lost := int((history["diverged"] >= 0).sum() if "diverged" in history else 0):
        print(f"{_count(lost, 'run')} diverged: left out.")
    print(f"Wrote {to}.svg, .csv and .npz after {duration(time.monotonic() - started)}.")


def _planned(plan, given):
    """Say in a few lines what a plan will do."""
    if plan.networks:
        lines = [
            f"to measure, on the CPU: {_count(plan.networks, 'network')} of each kind, untrained"
        ]
    else:
        if given.cluster:
            at_a_time, where = "on the cluster", plan.device
        else:
            at_a_time = f"{plan.workers} at a time"
            where = engine.describe(engine.device(plan.device), given.threads)
        lines = [
            f"to train: {_count(plan.runs, 'network')} in "
            f"{_count(len(plan.search) + len(plan.jobs), 'job')}, {at_a_time}; "
            f"{plan.updates:,} updates in all",
            f"on {where}; about {max(plan.memory / 1e6, 1):,.0f} MB of memory",
        ]
        if plan.search:
            tried = sum(len(job.runs) for job in plan.search)
            lines.insert(1, f"{tried} of them choose the learning rates, on validation examples")
    shared = ", shared by the cluster's workers" if given.cluster else ""
    lines.append(f"takes about {duration(plan.seconds)}{shared}")
    lines.append(f"finished curves stay in {given.out}; the same command goes on after a stop")
    return "\n".join(f"  {line}" for line in lines)


def duration(seconds):
    """Write a time in words, in the largest unit of which it has two."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(2, seconds):.0f} seconds"


def _count(number, noun):
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _aligned(rows):
    """Write rows, dicts with the same keys, as a table of plain text."""
    head, *body = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (head, *body)
    )


def _csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _claims(given):
    for claim, verdict in claims.ledger():
        print(f"{claim.id}  {verdict.verdict:16}  {claim.statement}")
        if verdict.evidence:
            print(f"{'':5}{verdict.evidence}")


def _results(given):
    for name in results.names():
        made = results.load(name).provenance
        size = sum(path.stat().st_size for path in results.files(name)) / 1024
        current = made.get("code_version") == storage.code_version()
        print(
            f"{name:26} {size:6.0f} kB  {made.get('date', '?')}  {made.get('processor', '?')}"
            f"{'' if current else '  (the code has changed since)'}"
        )


def _data(given):
    found = getattr(datasets, given.name)()
    parts = (found.train, found.validation, found.test)
    print(f"{found.name}: {' / '.join(str(len(images)) for images, _ in parts)} images")


_COMMANDS = {
    "list": _list,
    "reproduce": _reproduce,
    "claims": _claims,
    "results": _results,
    "data": _data,
    "assign": classroom.run,
}

if __name__ == "__main__":
    sys.exit(main())
