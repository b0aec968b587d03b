"""The command ``hard-to-train assign``: what it takes, and what it says."""

import importlib.util
import pathlib


def add_to(commands):
    """Add ``assign`` and its own commands to the subparsers of the command line."""
    assign = commands.add_parser("assign", help="hand out, collect and mark the assignments")
    own = assign.add_subparsers(dest="assign", required=True, metavar="COMMAND")

    make = own.add_parser("init", help="make a course folder, with a secret of its own")
    make.add_argument("folder", type=pathlib.Path, metavar="FOLDER")
    make.add_argument("--name", help="of the course (default: the folder's)")
    make.add_argument(
        "--secret",
        type=pathlib.Path,
        metavar="FILE",
        help="any text, from which the class's numbers are drawn (default: one at random)",
    )
    make.add_argument(
        "--sources", type=pathlib.Path, metavar="FOLDER", help="with assignments of your own"
    )

    give = own.add_parser("release", help="write what students get, and the solved key")
    give.add_argument("names", nargs="+", metavar="NAME", help="such as ps2")
    _in_course(give)


def _in_course(parser):
    parser.add_argument(
        "--course",
        type=pathlib.Path,
        default=pathlib.Path("."),
        metavar="FOLDER",
        help="the course folder (default: here)",
    )


def run(given):
    """Run ``assign`` with parsed arguments; return the exit status.

    Raises ImportError, with the remedy, where nbgrader or jupytext is missing.
    """
    for package in ("jupytext", "nbgrader"):
        if importlib.util.find_spec(package) is None:
            raise ImportError(f'assignments need {package}: pip install "hard-to-train[grade]"')
    return _COMMANDS[given.assign](given) or 0


def _init(given):
    from course_lib.classroom import course, sources

    made = course.init(given.folder, given.secret, given.name, given.sources)
    drawn = "drawn at random" if given.secret is None else f"taken from {given.secret}"
    print(f"{made.folder} is the course folder of {made.name}; its secret was {drawn}.")
    print(f"Assignments: {', '.join(sources.names(made.sources))}.")
    print(f"Next: write roster.csv, then hard-to-train assign release NAME --course {made.folder}")


def _release(given):
    from course_lib.classroom import course, sources

    chosen = course.load(given.course)
    for name in given.names:  # all of them, before the first one takes its time
        sources.find(name, chosen.sources)
    for name in given.names:
        print(f"{name}: solving it with the class's numbers ...", flush=True)
        released = course.release(chosen, name)
        print(f"{name}: {sum(released.points.values())} points; every solution passes every test.")
        print(f"  for students: {released.release}\n  for you: {released.key}")


_COMMANDS = {"init": _init, "release": _release}
