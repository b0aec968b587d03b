"""The command line: ``hard-to-train claims | results | run | data``."""

import argparse
import pathlib
import sys
import time

from course_lib import __version__, claims, datasets, experiments, results, storage


def main(arguments=None):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="hard-to-train",
        description="Hard to Train: Glorot & Bengio (2010), run line by line.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    commands.add_parser("claims", help="print the ledger of the paper's claims with its verdicts")
    commands.add_parser("results", help="list the measured results that come with the package")
    run = commands.add_parser("run", help="run an experiment and save what it measured")
    run.add_argument("experiment", choices=sorted(experiments.EXPERIMENTS))
    run.add_argument("--scale", choices=["quick", "workstation"], default="quick")
    run.add_argument("--to", type=pathlib.Path, help="the .npz to write (default: NAME-SCALE.npz)")
    data = commands.add_parser("data", help="fetch a data set and check it")
    data.add_argument("name", choices=["mnist", "cifar10"])

    given = parser.parse_args(arguments)
    try:
        return _COMMANDS[given.command](given) or 0
    except (ValueError, OSError, ImportError) as error:
        print(f"hard-to-train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"\nhard-to-train: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def _claims(given):
    for claim, verdict in claims.ledger():
        print(f"{claim.id}  {verdict.verdict:16}  {claim.statement}")
        if verdict.evidence:
            print(f"{'':5}{verdict.evidence}")


def _results(given):
    for name in results.names():
        stored = results.load(name)
        made = stored.provenance
        size = (results.FOLDER / f"{name}.npz").stat().st_size / 1024
        current = made.get("code_version") == storage.code_version()
        print(
            f"{name:26} {size:6.0f} kB  {made.get('date', '?')}  {made.get('processor', '?')}"
            f"{'' if current else '  (the code has changed since)'}"
        )


def _run(given):
    path = given.to or pathlib.Path(f"{given.experiment}-{given.scale}.npz")
    if path.suffix != ".npz" or path.is_dir():  # said before the training, not after it
        raise ValueError(f"--to must name a file that ends in .npz, not {path}")
    experiment, scales = experiments.EXPERIMENTS[given.experiment]
    scale = scales[given.scale]
    print(f"{given.experiment} at scale {given.scale}: {scale}", file=sys.stderr)
    started = time.monotonic()
    checkpoint = path.with_suffix(".checkpoint.npz")
    experiment(scale, checkpoint=checkpoint).save(path)
    experiments.tidy(checkpoint)
    print(f"wrote {path} after {time.monotonic() - started:.0f} s")


def _data(given):
    found = getattr(datasets, given.name)()
    parts = (found.train, found.validation, found.test)
    print(f"{found.name}: {' / '.join(str(len(images)) for images, _ in parts)} images")


_COMMANDS = {"claims": _claims, "results": _results, "run": _run, "data": _data}

if __name__ == "__main__":
    sys.exit(main())
