"""Feedback says what a student earned and why, and passes nothing on that could do anything."""

import base64
import importlib.util
import re
import zipfile

import nbformat
import pytest

from course_lib import __main__ as command
from course_lib.classroom import collect, course, feedback, pages, report, shown, sources

_BROWSER = importlib.util.find_spec("playwright") and importlib.util.find_spec(
    "axe_playwright_python"
)
if _BROWSER:
    import browser

ROSTER = """id,first_name,last_name
s1,Ann,"<script>alert(1)</script>"
s2,Bo,Li
s3,Cy,Ray
s4,Di,Poe
"""
HOSTILE = """# A heading

<script>alert(1)</script> <img src=x onerror=alert(2)> [click](javascript:alert(3))
![far](https://example.org/spy.png) $a_1 < b$

<iframe src="https://example.org"></iframe>
"""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJg"
    "gg=="
)
GIF = base64.b64encode(b"GIF89a" + bytes(20)).decode()
WEBP = base64.b64encode(b"RIFF\x1a\0\0\0WEBPVP8 " + bytes(20)).decode()
PICTURES = f"""
![the cost < 0.5 after 30 steps](attachment:%C3%BCber%20cost.png) ![](attachment:film.gif)
![drawn](attachment:drawn.svg) ![false](attachment:false.png) ![gone](attachment:gone.png)
![large](attachment:large.jpeg) ![in the text](data:image/webp;base64,{WEBP})
![page](data:text/html;base64,PHNjcmlwdD4=) ![x" onerror="alert(11)](attachment:film.gif)
"""
ATTACHED = {
    "über cost.png": {"image/png": PIXEL},
    "film.gif": {"text/plain": "words", "image/gif": GIF},
    "drawn.svg": {"image/svg+xml": "PHN2Zz48L3N2Zz4="},
    "false.png": {"image/png": "PHNjcmlwdD5hbGVydCgxMik8L3NjcmlwdD4="},
    "large.jpeg": {"image/jpeg": "/9j/" + "A" * (5 << 20)},
    "unused.png": {"image/png": PIXEL},
}
DRAWING = (
    '<div onclick="alert(4)"><svg xmlns="http://www.w3.org/2000/svg" role="img" '
    'aria-label="three &lt; four lines" onload="alert(5)"><script>alert(6)</script>'
    '<image href="https://example.org/spy.svg"/></svg></div>'
)
OUTPUTS = [
    {"output_type": "stream", "name": "stdout", "text": "\x1b[31mred\x1b[0m <b>bold</b>\x00\n"},
    {"output_type": "stream", "name": "stdout", "text": "so much " * 100_000},
    {
        "data": {
            "text/html": "<script>alert(7)</script><table onclick='x'>",
            "text/plain": "a table",
        }
    },
    {"data": {"text/html": "<style>p{}</style><p onclick=x>only <b>words</b></p>"}},
    {"data": {"application/javascript": "alert(8)", "text/plain": "<script object>"}},
    {"data": {"text/html": DRAWING}},
    {"data": {"image/png": PIXEL}},
    {"data": {"image/png": '"><script>alert(9)</script>'}},
]


@pytest.fixture(scope="session")
def source():
    return sources.read(sources.find("ps2"))


def roles(source):
    return [(cell, cell.metadata.get("nbgrader", {})) for cell in source.notebook.cells]


@pytest.fixture(scope="session")
def written(source):
    return next(r["grade_id"] for _, r in roles(source) if r.get("grade") and r.get("solution"))


@pytest.fixture(scope="session")
def made(tmp_path_factory, source, written):
    """s1 has a hostile notebook, a test failed and an answer waiting; s2 all points; s3 failed."""
    from nbgrader.api import Gradebook

    made = course.init(tmp_path_factory.mktemp("class") / "autumn")
    (made.folder / "roster.csv").write_text(ROSTER)
    incoming = tmp_path_factory.mktemp("in") / "a.zip"
    with zipfile.ZipFile(incoming, "w") as archive:
        archive.writestr("x scriptalert1script ann_11_assignsubmission_file_/ps2.ipynb", "lost")
        archive.writestr("Bo Li_12_assignsubmission_file/ps2.ipynb", "work of Bo")
        archive.writestr("raycy_LATE_13_99_ps2.ipynb", "work of Cy")
    collect.collect(made, "ps2", incoming)
    notebook = sources.drawn(source, made.secret)
    answers = iter(OUTPUTS)
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader", {})
        if role.get("grade_id") == written:
            cell.source, cell.attachments = HOSTILE + PICTURES, ATTACHED
        elif role.get("solution"):
            cell.source = f"mine = '</code><script>alert(0)</script>'\n# {role['grade_id']}"
    own = nbformat.v4.new_code_cell("print('a cell of my own')")
    for output in answers:
        kind = output.get("output_type", "display_data")
        output = {k: v for k, v in output.items() if k != "output_type"}
        own.outputs.append(nbformat.v4.new_output(kind, **output))
    notebook.cells.append(own)
    hidden = hidden_line(source, made.secret)
    spy = nbformat.v4.new_code_cell("print(open('ps2.ipynb').read())")
    spy.outputs = [nbformat.v4.new_output("stream", text=f'    "   {hidden}\\n",\n')]
    notebook.cells.append(spy)
    failing = list(source.points)[0]
    for cell in notebook.cells:
        if cell.id == failing:
            lines = ["Not yet: delta has the shape (5, 4), not (4, 5)."]
            cell.outputs = [nbformat.v4.new_output("error", ename="NotYet", traceback=lines)]
        if cell.id == list(source.points)[1]:
            lines = ["Traceback", f"---> 9 {hidden}", "ZeroDivisionError: division by zero"]
            cell.outputs = [
                nbformat.v4.new_output(
                    "error", ename="ZeroDivisionError", evalue="division by zero", traceback=lines
                )
            ]
    with Gradebook(f"sqlite:///{made.gradebook}", made.name) as gradebook:
        gradebook.add_assignment("ps2")
        gradebook.add_notebook("ps2", "ps2")
        for name, of in source.points.items():
            kind = "markdown" if name == written else "code"
            gradebook.add_grade_cell(name, "ps2", "ps2", max_score=of, cell_type=kind)
        gradebook.add_solution_cell(written, "ps2", "ps2")
        for student in ("s1", "s2", "s3"):
            submission = gradebook.add_submission("ps2", student)
            for grade in submission.notebooks[0].grades:
                bad = student == "s1" and grade.name in list(source.points)[:2]
                waits = student == "s3" or (student == "s1" and grade.name == written)
                grade.needs_manual_grade = waits
                grade.auto_score = None if waits else 0.0 if bad else grade.cell.max_score
        gradebook.db.commit()
        comment = gradebook.find_comment(written, "ps2", "ps2", "s2")
        comment.manual_comment = "Well argued. <script>alert(10)</script>"
        gradebook.db.commit()
    for student in ("s1", "s2"):
        folder = made.folder / "autograded" / student / "ps2"
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / "ps2.ipynb")
    note = made.folder / "graded/ps2/s3.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"state": "failed", "lines": ["ps2.ipynb is not <b>a notebook</b>"]}')
    (made.folder / "submitted/s4/ps2").mkdir(parents=True)
    old = made.folder / "feedback/s4/ps2"
    old.mkdir(parents=True)
    (old / "ps2.html").write_text("of an earlier attempt")
    return made


def hidden_line(source, secret):
    """Return a line of a hidden test that no visible one has."""
    code = [cell.source for cell in sources.drawn(source, secret).cells]
    regions = re.findall(r"BEGIN HIDDEN TESTS\n(.*?)\n### END HIDDEN", "\n".join(code), re.S)
    lines = [line.strip() for region in regions for line in region.split("\n")]
    public = "\n".join(
        re.sub(r"### BEGIN HIDDEN.*?### END HIDDEN", "", t, flags=re.S) for t in code
    )
    return max((x for x in lines if x not in public and '"' not in x), key=len)


@pytest.fixture(scope="session")
def wrote(made):
    return feedback.write(made, "ps2")


def page(made, student):
    return (made.folder / "feedback" / student / "ps2" / "ps2.html").read_text()


# ---- who gets one, and where


def test_everyone_graded_gets_a_page(made, wrote):
    assert (wrote.written, wrote.waiting, wrote.skipped) == (
        ["s1", "s2", "s3"],
        ["s1", "s3"],
        ["s4"],
    )
    assert not (made.folder / "feedback/s4/ps2").exists(), "a page of another attempt misleads"


def test_the_zips_are_named_as_the_platforms_name_their_files(made, wrote):
    names = {path.name: zipfile.ZipFile(path).namelist() for path in wrote.zips}
    assert names == {
        "ps2-moodle.zip": ["Bo Li_12_assignsubmission_file_/ps2_feedback.html"],
        "ps2-canvas.zip": ["raycy_LATE_13_99_ps2_feedback.html"],
    }
    (inside,) = zipfile.ZipFile(wrote.zips[0]).infolist()
    assert zipfile.ZipFile(wrote.zips[0]).read(inside).decode() == page(made, "s2")


def test_made_again_it_is_the_same(made, wrote):
    before = {p: p.read_bytes() for p in (made.folder / "feedback").rglob("*.html")}
    zips = [path.read_bytes() for path in wrote.zips]
    assert feedback.write(made, "ps2") == wrote
    assert {p: p.read_bytes() for p in (made.folder / "feedback").rglob("*.html")} == before
    assert [path.read_bytes() for path in wrote.zips] == zips


# ---- what it says


def test_the_points_and_the_words_of_the_tests(made, wrote, source):
    said = page(made, "s1")
    for title in report.parts(source):
        assert f'<th scope="row">{pages.escape(title)}</th>' in said
        assert f"<h2>{pages.escape(title)}</h2>" in said
    assert "<td>not marked yet</td>" in said and "counts nothing so far" in said
    assert "Not yet: delta has the shape (5, 4), not (4, 5)." in said
    assert "ZeroDivisionError: division by zero" in said
    assert "<p>Passed.</p>" in said
    assert '<td class="number">13</td><td class="number">20</td>' in said
    assert said.count("A cell of yours") == 2
    assert "a cell of my own" in said and "Back-propagation" not in said


def test_all_points_and_a_comment(made, wrote):
    said = page(made, "s2")
    assert '<td class="number">20</td><td class="number">20</td>' in said
    assert "From your instructor:" in said and "Well argued." in said


def test_a_failure_says_why(made, wrote):
    said = page(made, "s3")
    assert "could not grade this: ps2.ipynb is not &lt;b&gt;a notebook&lt;/b&gt;." in said


# ---- what it keeps back


def test_hidden_tests_are_not_shown(made, wrote, source):
    hidden = hidden_line(source, made.secret)
    for student in ("s1", "s2"):
        said = page(made, student)
        assert pages.escape(hidden) not in said and "HIDDEN TESTS" not in said
        assert "Not shown: it holds lines of the hidden tests." in said
    cell = wrote.withheld[0][1]
    assert wrote.withheld == [("s1", cell), ("s2", cell)]
    assert f"an output of {cell} holds lines" in feedback.describe(wrote, "ps2")


def test_the_switch_shows_them(made, wrote, source, tmp_path):
    mine = course.load(made.folder)
    try:
        assert feedback.write(mine, "ps2", hidden_tests=True).withheld == []
        said = page(made, "s1")
        assert pages.escape(hidden_line(source, made.secret)) in said
        assert "BEGIN HIDDEN TESTS" in said and "---&gt; 9" in said
    finally:
        feedback.write(mine, "ps2")


def test_a_secret_number_is_not_shown(source):
    drawn = sources.drawn(source, "some other secret")
    secrets = feedback._secrets(source, drawn, "some other secret")
    values = [repr(v) for v in sources.draw(source, "some other secret").secret.values()]
    assert any(value in secrets for value in values)


# ---- what it takes the life from


def test_nothing_of_a_student_becomes_part_of_the_page(made, wrote):
    for student in ("s1", "s2", "s3"):
        said = page(made, student)
        markup = re.sub(r'"[^"]*"', '""', said)
        tags = {tag.lower() for tag in re.findall(r"<([a-zA-Z]+)", markup)}
        assert tags <= {
            "html", "head", "meta", "title", "style", "body", "main", "h", "p", "table", "caption",
            "thead", "tbody", "tr", "th", "td", "pre", "code", "small", "span", "strong", "em",
            "div", "img", "ul", "li", "br",
        }  # fmt: skip
        assert not re.search(r"<[^>]*\son\w+\s*=", markup)
        assert set(re.findall(r'src="([^"]{0,11})', said)) <= {"data:image/"}
        assert "href=" not in markup and "\x00" not in said and "\x1b" not in said
    said = page(made, "s1")
    assert len(said) < 300_000 and "characters left out" in said
    assert "red &lt;b&gt;bold&lt;/b&gt;" in said and "a table" in said
    assert "<pre>only words</pre>" in said and "&lt;script object&gt;" in said
    assert 'alt="three &lt; four lines"' in said and "it is damaged, or no PNG" in said
    assert "[picture: far]" in said and "$a_1 &lt; b$" in said


@pytest.mark.skipif(not (_BROWSER and browser.CHROMIUM), reason="no Chromium on this machine")
def test_the_pages_in_a_browser(made, wrote, tmp_path):
    """No dialog, no request, nothing serious for axe-core, in light and dark, on a phone too."""
    (tmp_path / "report.html").write_text(report.page(report.report(made, "ps2")))
    files = [made.folder / f"feedback/{s}/ps2/ps2.html" for s in ("s1", "s3")]
    with browser.chromium() as chromium:
        for file in [*files, tmp_path / "report.html"]:
            with browser.opened(chromium, file.as_uri()) as page:
                dialogs = []
                page.on("dialog", lambda d, seen=dialogs: (seen.append(d.message), d.dismiss()))
                assert browser.axe(page) == []
                levels = page.evaluate(
                    "[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])"
                )
                assert levels[0] == 1 and levels.count(1) == 1
                assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
                page.emulate_media(color_scheme="dark")
                assert browser.axe(page) == []
                page.set_viewport_size(browser.PHONE)
                assert page.evaluate(browser.OVERFLOWING) == []
                assert browser.axe(page) == []
                assert (dialogs, page.seen["outside"], page.seen["failed"]) == ([], [], [])
                assert [x for x in page.seen["console"] if "Security" not in x] == []


def test_the_command(made, wrote, capsys):
    assert command.main(["assign", "feedback", "ps2", "--course", str(made.folder)]) == 1
    said = capsys.readouterr().out
    assert "ps2: 3 pages of feedback." in said and "s4: no page" in said


# ---- pictures in written answers


def test_attached_pictures_are_seen_and_all_else_is_said_in_words(made, wrote):
    said = page(made, "s1")
    assert (
        f'<img src="data:image/png;base64,{PIXEL}" alt="the cost &lt; 0.5 after 30 steps">' in said
    )
    assert f'<img src="data:image/gif;base64,{GIF}" alt="film.gif">' in said
    assert f'<img src="data:image/webp;base64,{WEBP}" alt="in the text">' in said
    assert "[picture: drawn; pictures of the kind image/svg+xml are not shown]" in said
    assert "[picture: false; it is damaged, or no PNG]" in said
    assert "[picture: large; it is larger than 3 MB]" in said
    assert "[picture: gone]" in said and "[attached, but not in the text: " in said
    assert "unused.png" in said and "PHNjcmlwdD" not in said
    assert 'alt="x&quot; onerror=&quot;alert(11)"' in said and len(said) < 200_000


def test_a_long_answer_keeps_its_picture_and_the_pictures_are_counted():
    picture = f"![seen](data:image/png;base64,{PIXEL})"
    long = shown.markdown(f"{picture}\n\n" + "word " * 10_000)
    assert "<img " in long and "characters left out" in long and len(long) < 15_000
    many = shown.markdown(" ".join([picture] * 20))
    assert many.count("<img ") == 12 and many.count("12 pictures at most") == 8


@pytest.mark.parametrize("odd", [[], {"a.png": []}, {"a.png": {"image/png": 3}}, "x", {1: None}])
def test_odd_attachments_are_no_pictures(odd):
    assert "[picture: a]" in shown.markdown("![a](attachment:a.png)", odd)
