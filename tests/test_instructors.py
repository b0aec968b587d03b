"""The guide for instructors says what is so: commands, causes, minutes, objectives, pictures."""

import argparse
import ast
import csv
import json
import re
import shlex
import time
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from test_lessons import NAMES, SOURCES, facts

from course_lib import __main__ as hard_to_train
from course_lib import claims
from course_lib.classroom import command, sandbox, sources
from tools import worked_example

BOOK = Path(__file__).resolve().parent.parent / "book"
CODE = BOOK.parent / "course_lib" / "classroom"
PAGES = {page.stem: page.read_text() for page in sorted(BOOK.glob("instructors*.md"))}
PLANS, OBJECTIVES = PAGES["instructors_plans"], PAGES["instructors_objectives"]
MARKING, TROUBLE = PAGES["instructors_marking"], PAGES["instructors_trouble"]
SEEN = worked_example.PAGES
ASSIGNMENTS = {name: sources.read(sources.find(name)) for name in sources.names()}
each_page = pytest.mark.parametrize("page", PAGES)


def numbers(text):
    return [int(number) for number in re.findall(r"\d+", text)]


# ---- commands


@pytest.fixture(scope="module")
def parser():
    made = argparse.ArgumentParser(exit_on_error=False)
    command.add_to(made.add_subparsers(required=True))
    return made


def command_lines(text):
    """Return the lines of a page that call our program, in blocks of code and within sentences."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.split("\n")]
    lines += re.findall(r"`(hard-to-train [^`]+)`", text)
    return [line for line in lines if line.startswith("hard-to-train")]


@each_page
def test_every_command_line_is_one_that_the_program_takes(page, parser):
    for line in command_lines(PAGES[page]):
        program, *words = shlex.split(line)
        assert program == "hard-to-train"
        parser.parse_args(words)  # exits, saying why, if it is none


def test_a_command_line_that_does_not_exist_is_found(parser, capsys):
    for line in ("hard-to-train assign mark ps2", "hard-to-train assign grade ps2 --fast"):
        assert command_lines(f"So: `{line}`.") == [line]
        with pytest.raises((SystemExit, argparse.ArgumentError)):
            parser.parse_args(shlex.split(line)[1:])


@each_page
def test_every_option_named_alone_exists(page, capsys, parser):
    known = {"--to", "--force"}  # of jupytext and nbgrader
    for name in command._COMMANDS:
        with pytest.raises(SystemExit):
            parser.parse_args(["assign", name, "--help"])
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {"--sources", "--again", "--hidden-tests"} <= known
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGES[page])) <= known


def test_the_commands_of_the_overview_are_all_there_are():
    said = set(re.findall(r"`(?:hard-to-train assign )?([a-z]+) (?:ps2|FOLDER)", MARKING))
    assert said >= set(command._COMMANDS)


# ---- causes

# Where words are made that an instructor may read about a submission or a file.
SPEAKING = {
    "feedback": "describe",
    "command": "run",
    "course export report sources pages patients formgrader lock": "",
}
# In every other module:
EVERYWHERE = """read find _parts unzip _read walk files _opened read_notebook _oddities
describe_check load_record choose mend _put_back flags _stops students __init__ _ran _execute
preprocess_cell _look process_message _write _work""".split()
# Words of these functions that are no cause, but a total, a sentence around one or a part of it.
OTHER = {
    "…: … ready to grade, … cannot be read, … missing.",
    "… is no zip file that can be read: …",
    "This cell ….",
    "allocate memory",
    "\n... the rest is left out ...\n",
    "…: … pages of feedback.",
    "  to upload: …",
    "  …: written, with answers not marked yet",
}


def words(node):
    """Return the text of a piece of code, with an ellipsis for what is put in; None if no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return None


def spoken():
    """Return all texts of at least two words in the functions that speak of submissions."""
    found = set()
    of_module = {name: of.split() for names, of in SPEAKING.items() for name in names.split()}
    for path in sorted(CODE.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            if function.name not in of_module.get(path.stem, EVERYWHERE):
                continue
            inside = {
                id(part)
                for text in ast.walk(function)
                if isinstance(text, ast.JoinedStr)
                for part in ast.walk(text)
                if part is not text
            }
            documented = ast.get_docstring(function, clean=False)
            for node in ast.walk(function):
                text = words(node)
                if text and id(node) not in inside and text != documented:
                    found.add(text)
    texts = {text for text in found if len(text.replace("…", " ").split()) >= 2}
    flagged = (CODE / "sources.py").read_text(encoding="utf-8")
    assert " uses {" in flagged and any(text.startswith("flagged: ") for text in found)
    return texts | {"flagged: … uses …"} | {f"{one}" for one in command._BLANK.values()}


def listed():
    """Return the causes of the page, each as often as it is there."""
    lines = re.findall(r"^(`.+`)\n: ", TROUBLE, re.M)
    return [cause for line in lines for cause in re.findall(r"`([^`]+)`", line)]


def same(cause, text):
    """Whether a text of the code is the cause: all of it, or its beginning before a bracket."""
    text = " ".join(text.split())
    if text.startswith("…: ") and not cause.startswith("…: "):
        text = text[3:]
    return text == cause or re.sub(r" \(--.*| \(… \w+.*|; mark it by hand.*", "", text) == cause


def test_every_listed_cause_is_one_that_the_commands_say():
    said = spoken()
    for cause in listed():
        assert any(same(cause, text) for text in said), f"nothing says: {cause}"


def test_no_cause_is_left_out_of_the_list():
    causes = listed()
    assert len(causes) > 50
    for text in spoken() - OTHER:
        assert any(same(cause, text) for cause in causes), f"no word on what to do about: {text}"


# ---- objectives


def of_lesson(number):
    """Return what the page says of a lesson: its bullets, and the line that assesses it."""
    (block,) = re.findall(
        rf"^\[Lesson {number}\]\(\.\./lessons/{NAMES[number]}\.md\): .+\n(: - .+\n(?:  - .+\n)+)"
        r": \*Assessed by\* (.+)$",
        OBJECTIVES,
        re.M,
    )
    return re.findall(r"^[: ] - (.+)$", block[0], re.M), block[1]


OBSERVABLE = set(
    "check choose compare compute correct derive design draw explain give measure name predict "
    "read say state tell".split()
)


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_objectives_of_a_lesson_are_observable_and_assessed(number):
    bullets, assessed = of_lesson(number)
    assert 2 <= len(bullets) <= 4
    assert {bullet.split()[0].rstrip(",") for bullet in bullets} <= OBSERVABLE
    follow = {name: numbers(re.sub(r"Eqs?\..*", "", s.follows)) for name, s in ASSIGNMENTS.items()}
    assert {f"ps{n}" for n in numbers(assessed)} == {n for n, of in follow.items() if number in of}
    concepts = re.findall(
        r"^:::\{concept\} (.+)\n(?::.*\n)*?:lessons: (.+)$",
        (BOOK / "concepts.md").read_text(),
        re.M,
    )
    assert len(concepts) == 10
    asked = {title for title, of in concepts if number in numbers(of)}
    assert set(re.findall(r"\*([^*]+)\*", assessed)) == asked
    if not (asked or numbers(assessed)):
        assert assessed == "the lesson's exercises only"


def test_there_is_no_other_lesson_on_the_page():
    assert len(re.findall(r"^\[Lesson \d+\]", OBJECTIVES, re.M)) == len(NAMES) == 13


# ---- minutes


def section(title):
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PLANS, re.M | re.S)
    return text


def meetings(title):
    """Return the meetings of a plan: (words, minutes promised, [minutes], what is at home)."""
    blocks = re.split(r"^\*\*(?=Before|Session|Meeting)", section(title), flags=re.M)[1:]
    found = []
    for block in blocks:
        promised = int(re.search(r"\*\* \((\d+) minutes\)\n", block)[1])
        items = [int(n) for n in re.findall(r"^[: ] - (\d+) min: ", block, re.M)]
        home = re.search(r"^: \*\*(?:Homework|Prepare)\*\* \((\d+) minutes\): (.+)$", block, re.M)
        found.append((block, promised, items, home))
    return found


@pytest.mark.parametrize(("title", "count"), [("Two weeks", 7), ("Four meetings", 4)])
def test_minutes_of_each_meeting_add_up(title, count):
    found = meetings(title)
    assert len(found) == count
    for block, promised, items, home in found:
        assert promised == sum(items), block
        if home:
            assert int(home[1]) == sum(map(int, re.findall(r"\((\d+)\)", home[2]))), block


@pytest.mark.parametrize("title", ["Two weeks", "Four meetings"])
def test_homework_takes_as_long_as_the_lessons_say(title):
    for block, _, _, home in meetings(title):
        for number, minutes in re.findall(r"lesson (\d+) \((\d+)\)", home[2] if home else ""):
            assert facts(SOURCES[NAMES[int(number)]])[0] == int(minutes), block
        for number, votes in re.findall(r"lesson (\d+)(?:'s|, presented:) (\d+) votes", block):
            assert SOURCES[NAMES[int(number)]].count(":class: prediction") == int(votes), block


def test_two_weeks_read_every_lesson_once_and_the_total_is_right():
    found, text = meetings("Two weeks"), section("Two weeks")
    read = [int(n) for *_, home in found if home for n in re.findall(r"lesson (\d+)", home[2])]
    assert sorted([0, *read]) == list(range(13))
    assert "15 min: lesson 0" in text
    assert facts(SOURCES[NAMES[0]])[0] == 15
    class_time = sum(promised for block, promised, *_ in found if block.startswith("Session"))
    home = sum(int(home[1]) for *_, home in found if home) + found[0][1]
    handed = dict(re.findall(r"^\| (\d), .*?\((\d+) minutes\) \|", text, re.M))
    assert len(handed) == 3
    for number, minutes in handed.items():
        assert ASSIGNMENTS[f"ps{number}"].minutes == int(minutes)
    work = sum(map(int, handed.values()))
    assert f"{class_time} minutes in class, {home} of reading" in text
    assert f"{work} of assignments: about {round((class_time + home + work) / 60)} hours" in text
    by_hand = [sum(ASSIGNMENTS[f"ps{n}"].points[name] for name in waits(f"ps{n}")) for n in handed]
    assert f"the written answers ({by_hand[0]}, {by_hand[1]} and {by_hand[2]} points)" in text


def waits(name):
    cells = ASSIGNMENTS[name].notebook.cells
    roles = [c.metadata.get("nbgrader", {}) for c in cells if c.cell_type == "markdown"]
    return [role["grade_id"] for role in roles if role.get("grade")]


def test_the_lecture_is_that_of_the_slides():
    deck = (BOOK / "slides" / "lecture.md").read_text()
    slides = [float(n) for n in re.findall(r"^\{notes\} ([\d.]+) min$", deck, re.M)]
    rows = re.findall(
        r"^\| (\d+)(?: to (\d+))? \|[^|]+\| ([\d.]+) \|$", section("One lecture"), re.M
    )
    following = 1
    for first, last, minutes in rows:
        assert int(first) == following
        following = int(last or first) + 1
        assert sum(slides[int(first) - 1 : following - 1]) == float(minutes), first
    assert following == len(slides) + 1
    assert f"**{sum(slides):g}**" in section("One lecture") and deck.startswith(
        f"{sum(slides):g} m"
    )
    assert sum(s == "" for s in re.findall(r"^# Vote (.*)\d:", deck, re.M)) == 4
    live = [k for k, title in enumerate(re.findall(r"^# (.+)", deck, re.M), 1) if "Live" in title]
    assert f"slides {live[0]} and {live[1]}" in section("One lecture")
    spare = slides[9] + sum(slides[k - 1] for k in live)
    assert (
        f"Leave out slide 10 and the two live figures (slides {live[0]} and {live[1]}): {spare:g}"
        in PLANS
    )


def test_the_hour_is_an_hour():
    rows = re.findall(r"^\| (\d+) \| ", PAGES["instructors"], re.M)
    assert sum(map(int, rows)) == 60 and "| **60** |" in PAGES["instructors"]


def test_claims_that_a_meeting_reads_exist():
    named = re.findall(r"claims (C\d\d) to (C\d\d)", PLANS)
    assert named and {c for pair in named for c in pair} <= {claim.id for claim in claims.CLAIMS}


# ---- the worked example


def test_pictures_are_there_have_alternatives_and_are_small():
    shown = re.findall(
        r"^```\{figure\} worked_example/(\S+)\n:alt: (.+)\n\n(.+)\n```$", MARKING, re.M
    )
    assert {name for name, *_ in shown} == {path.name for path in SEEN.glob("*.webp")}
    assert len(shown) >= 5 and all(len(alt.split()) >= 12 for _, alt, _ in shown)
    assert sum(path.stat().st_size for path in SEEN.glob("*.webp")) < 400_000


def test_the_page_shows_what_each_command_said_in_order():
    included = re.findall(r"^```\{literalinclude\} worked_example/(\S+)\.txt$", MARKING, re.M)
    assert included == [name for name, *_ in worked_example.COMMANDS]
    for name, line, _ in worked_example.COMMANDS:
        said = (SEEN / f"{name}.txt").read_text()
        assert said.startswith(f"$ {line}\n") and "/tmp" not in said and "%|" not in said
    assert (SEEN / "roster.csv").read_text() == worked_example.ROSTER.format(
        worked_example.OTHER_NAME
    )


def test_what_needs_no_kernel_is_said_again_word_for_word(tmp_path, monkeypatch, capsys):
    """Making the folder, collecting twice and checking; the rest takes minutes, and a browser."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    lines = {name: (line, status) for name, line, status in worked_example.COMMANDS}
    for name in ("init", "collect", "collect-again", "check"):
        if name == "collect":
            course = tmp_path / "spring-class"
            (course / "roster.csv").write_text(worked_example.ROSTER.format(""))
            (course / "release" / "ps2").mkdir(parents=True)
            made = sources.release(ASSIGNMENTS["ps2"], worked_example.SECRET.strip())
            nbformat.write(made, course / "release" / "ps2" / "ps2.ipynb")
        worked_example.prepare(tmp_path, name)
        monkeypatch.chdir(tmp_path if name == "init" else tmp_path / "spring-class")
        line, status = lines[name]
        assert hard_to_train.main(shlex.split(line)[1:]) == status
        said = f"$ {line}\n{capsys.readouterr().out}".replace(str(tmp_path), "~").rstrip()
        assert said + "\n" == (SEEN / f"{name}.txt").read_text(), name


def test_exported_marks_are_those_of_the_machine_and_of_the_hand():
    said = (SEEN / "grade.txt").read_text()
    machine = {s: float(p) for s, p in re.findall(r"^(\w+): ([\d.]+) of \d+ points", said, re.M)}
    assert len(machine) == 6 and "haddad: not graded" in said
    rows = list(csv.DictReader((SEEN / "moodle.csv").read_text().splitlines()))
    assert len(rows) == 8
    for row in rows:
        student, mark = row["ID number"], row["Assignment: ps2 (Real)"]
        by_hand = worked_example.BY_HAND.get(student, (0, ""))[0]
        assert mark == (f"{machine[student] + by_hand:g}" if student in machine else ""), student
    assert "The formgrader" in MARKING and "2 of 4 points" in MARKING
    assert worked_example.BY_HAND["lima"][0] == 2 and machine["lima"] + 2 == 16


def test_the_class_of_the_example_is_made_of_what_the_assignment_asks():
    """A solution that was renamed would stop the tool, which nobody runs every day."""
    release = json.loads(nbformat.writes(sources.release(ASSIGNMENTS["ps2"], "any class of words")))
    made = worked_example.submissions(release)
    assert len(made) == 7 and sum(data.startswith(b"{") for _, data, _ in made.values()) == 6


# ---- what the other pages promise


def test_times_of_assignments_lie_where_the_page_says():
    low, high = re.search(r"\((\d+) to (\d+) minutes\)", PAGES["instructors_policies"]).groups()
    minutes = [source.minutes for source in ASSIGNMENTS.values()]
    assert (int(low), int(high)) == (min(minutes), max(minutes))


def test_the_sandbox_is_described_as_it_is():
    page, limits = PAGES["instructors_policies"], sandbox.Limits()
    for text in (
        f"| {limits.seconds} s and {limits.total} s |",
        f"| {limits.memory >> 30} GB |",
        f"| {limits.file >> 20} MB |",
        f"| {limits.output:,} characters |",
        f"| {limits.processes}, with threads |",
    ):
        assert text in page, text
    said = (CODE / "sandbox.py").read_text()
    words = re.findall(r"`((?:without network|in an empty folder)[^`]+)`", page)
    assert len(words) == 3 and all(f'"{word}"' in said for word in words)


def test_what_lies_in_a_course_folder_is_what_the_code_writes():
    table = PAGES["instructors_policies"].split("| In the course folder |")[1].split("\n\n")[0]
    names = re.findall(r"`([\w.]+)`", table)
    code = "\n".join(path.read_text() for path in CODE.glob("*.py"))
    assert len(names) == 15
    for name in names:
        assert re.search(rf'["/]{re.escape(name)}["/]', code), name


def test_the_rules_of_the_table_draw_what_it_says():
    page = PAGES["instructors_sources"]
    rules = [yaml.safe_load(rule) for rule in re.findall(r"^\| `([\[{].+?)` \|", page, re.M)]
    assert len(rules) == 7
    source = ASSIGNMENTS["ps2"]._replace(setting={str(k): rule for k, rule in enumerate(rules)})
    whole, choice, different, far, each, sample, uniform = sources.draw(source).setting.values()
    assert 13 <= whole <= 19 and choice in ("tanh", "softsign") and len(set(different)) == 5
    steps = [b / a for a, b in zip(far, far[1:], strict=False)]
    assert min(max(step, 1 / step) for step in steps) >= 1.5 and min(steps) < 1 < max(steps)
    assert 2 <= each[0] <= 9 and 20 <= each[1] <= 90 and len(set(sample)) == 2
    assert 0.2 <= uniform <= 0.8 and round(uniform, 2) == uniform
    keys = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`.*?) \|", page, re.M)[:5])))
    front = [
        jupytext.read(one.path, fmt="md:myst").metadata.get("classroom", {})
        for one in ASSIGNMENTS.values()
    ]
    assert keys == {key for one in front for key in one}
