"""The command ``hard-to-train assign``: what it takes, and what it says."""

import datetime
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
    give.add_argument(
        "--force",
        action="store_true",
        help="also if the class has other numbers by now, or has handed in",
    )
    _in_course(give)

    take = own.add_parser("collect", help="take in a Moodle or Canvas zip, or a folder")
    take.add_argument("name", metavar="NAME", help="such as ps2")
    take.add_argument("submissions", type=pathlib.Path, metavar="ZIP_OR_FOLDER")
    take.add_argument(
        "--due",
        type=datetime.datetime.fromisoformat,
        metavar="TIME",
        help='when it was due, such as "2026-11-20 23:59"; later ones are called late',
    )
    _in_course(take)

    look = own.add_parser("check", help="see whether all that was collected can be graded")
    look.add_argument("names", nargs="+", metavar="NAME")
    _in_course(look)

    mark = own.add_parser("grade", help="mark by machine what was collected; it can be stopped")
    mark.add_argument("names", nargs="+", metavar="NAME")
    mark.add_argument("--workers", type=int, metavar="N", help="(default: one a processor)")
    mark.add_argument("--seconds", type=int, metavar="S", help="for one cell (default: 60)")
    mark.add_argument("--total", type=int, metavar="S", help="for one student (default: 600)")
    mark.add_argument("--again", action="store_true", help="also what has not changed")
    _in_course(mark)

    back = own.add_parser("feedback", help="write a page for each student, and zips to upload")
    back.add_argument("names", nargs="+", metavar="NAME")
    back.add_argument(
        "--hidden-tests",
        action="store_true",
        help="show them too (not the default: who hands in late would know what is tested)",
    )
    _in_course(back)

    tell = own.add_parser("report", help="say how the class did, and who needs a look")
    tell.add_argument("names", nargs="+", metavar="NAME")
    _in_course(tell)

    out = own.add_parser("export", help="write the marks as CSV, for Moodle or Canvas too")
    out.add_argument("names", nargs="+", metavar="NAME")
    out.add_argument("--for", dest="form", choices=["plain", "moodle", "canvas"], default="plain")
    out.add_argument("--out", type=pathlib.Path, metavar="FILE", help="(default: in the course)")
    out.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="NAME=TITLE",
        help='what an assignment is called there, such as ps2="Set 2 (4711)"',
    )
    out.add_argument(
        "--unfinished", action="store_true", help="marks that wait for your eye as they stand"
    )
    out.add_argument("--missing-zero", action="store_true", help="0 for nothing submitted")
    _in_course(out)


def _in_course(parser):
    parser.add_argument(
        "--course",
        type=pathlib.Path,
        default=pathlib.Path("."),
        metavar="FOLDER",
        help="the course folder (default: here)",
    )


def run(given):
    """Run ``assign`` with parsed arguments; return the exit status: 1 if something needs a look.

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
        released = course.release(chosen, name, given.force)
        print(f"{name}: {sum(released.points.values())} points; every solution passes every test.")
        print(f"  for students: {released.release}\n  for you: {released.key}")


def _collect(given):
    from course_lib.classroom import collect, course

    chosen = course.load(given.course)
    found = collect.collect(chosen, given.name, given.submissions, given.due)
    print(collect.describe(found, given.name, len(found.kept) + len(found.missing)))
    print(f"New in this run: {', '.join(found.new) or 'none'}.")
    return 1 if found.unmatched or found.refused else 0


def _check(given):
    from course_lib.classroom import course, look

    chosen, wrong = course.load(given.course), False
    for name in given.names:
        found = look.check(chosen, name)
        print(look.describe_check(found, name))
        wrong = wrong or bool(found.unreadable or found.strangers)
    return 1 if wrong else 0


def _grade(given):
    from course_lib.classroom import course, grade, sandbox

    chosen, failed = course.load(given.course), False
    wanted = {"seconds": given.seconds, "total": given.total}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    for name, value in wanted.items():
        if value < 1:
            raise ValueError(f"--{name} must be at least 1, not {value}")
    limits = sandbox.Limits(**wanted)
    for name in given.names:
        found = grade.grade(chosen, name, given.workers, limits, given.again)
        print(grade.describe(found, chosen.read(name)))
        failed = failed or any(outcome.state == "failed" for outcome in found)
    return 1 if failed else 0


def _feedback(given):
    from course_lib.classroom import course, feedback

    chosen, skipped = course.load(given.course), False
    for name in given.names:
        made = feedback.write(chosen, name, given.hidden_tests)
        print(feedback.describe(made, name))
        skipped = skipped or bool(made.skipped)
    return 1 if skipped else 0


def _report(given):
    from course_lib import storage
    from course_lib.classroom import course, report

    chosen = course.load(given.course)
    for name in given.names:
        found = report.report(chosen, name)
        path = chosen.folder / "reports" / f"{name}.html"
        with storage.atomic_write(path) as file:
            file.write(report.page(found).encode())
        print(f"{report.text(found)}\n\nAs a page: {path}")


def _export(given):
    from course_lib.classroom import course, export

    chosen = course.load(given.course)
    columns = {}
    for pair in given.column:
        name, equals, title = pair.partition("=")
        if not (name and equals and title):
            raise ValueError(f"--column needs NAME=TITLE, not {pair!r}")
        columns[name] = title
    made = export.export(
        chosen, given.names, given.form, columns, given.unfinished, given.missing_zero
    )
    path = given.out or chosen.folder / "exported" / f"{given.form}.csv"
    export.write(made, path)
    print(f"Marks of {', '.join(given.names)}: {path}")
    for student, name, state in made.blank:
        print(f"  left blank: {student}, {name}: {_BLANK[state]}")
    return 1 if any(state != "missing" for _, _, state in made.blank) else 0


_BLANK = {
    "waiting": "waits for marks by hand (--unfinished writes it as it stands)",
    "failed": "the machine cannot grade it; mark it by hand (--unfinished writes 0 so far)",
    "not graded": "submitted, and not graded since",
    "missing": "nothing submitted (--missing-zero writes 0)",
}
_COMMANDS = {
    "init": _init,
    "release": _release,
    "collect": _collect,
    "check": _check,
    "grade": _grade,
    "feedback": _feedback,
    "report": _report,
    "export": _export,
}
