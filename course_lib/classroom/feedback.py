"""Feedback for students: a page for each, which loads nothing and runs nothing that they wrote.

The pages lie in ``feedback/STUDENT/psN/psN.html``, where nbgrader has its own, and in zips that
Moodle and Canvas take back. They are made here and not from nbgrader's template because what a
student's notebook shows is only taken over as text and as pictures without a life of their own.

Hidden tests are not shown unless asked for: a class keeps its secret, and whoever hands in late
or again would know what is tested.
"""

import re
import shutil
import zipfile
from typing import NamedTuple

from course_lib import storage
from course_lib.classroom import collect, export, look, pages, report, shown, sources
from course_lib.classroom import course as folders

_HIDDEN = re.compile(r"^[^\n]*BEGIN HIDDEN TESTS[^\n]*\n(.*?)^[^\n]*END HIDDEN TESTS", re.M | re.S)
_SCHEME = re.compile(r"^[^\n]*BEGIN MARK SCHEME.*?END MARK SCHEME[^\n]*\n?", re.M | re.S)
_GUARD = "Not shown: it holds lines of the hidden tests."


class Feedback(NamedTuple):
    """What `write` made.

    Attributes
    ----------
    written : list of str, the ids of students with a page;  zips : list of pathlib.Path
    waiting : list of str, those of them with answers still to be marked by hand
    skipped : list of str, who handed in, but is not graded as it is now
    withheld : list of (str, str)
        Student and cell of outputs left out, since they hold lines of the hidden tests.
    """

    written: list
    zips: list
    waiting: list
    skipped: list
    withheld: list


def write(course, assignment, hidden_tests=False):
    """Write a page for everyone who was graded, and the zips; return `Feedback`.

    Parameters
    ----------
    course : Course;  assignment : str
    hidden_tests : bool
        Show the tests as they ran, the hidden ones too, and what went wrong in them.

    Raises
    ------
    ValueError
        If the assignment was not released.
    """
    source = course.read(assignment)
    comments = _comments(course, assignment)
    made = Feedback([], [], [], [], [])
    texts = {}
    for mark in export.marks(course, assignment):
        student = mark.student.id
        folder = course.folder / "feedback" / student / assignment
        if mark.state in ("missing", "not graded"):
            shutil.rmtree(folder, ignore_errors=True)  # a page of another attempt would mislead
            if mark.state == "not graded":
                made.skipped.append(student)
            continue
        path = course.folder / "autograded" / student / assignment / f"{assignment}.ipynb"
        try:
            notebook = look.read_notebook(path) if path.parent.is_dir() else None
        except ValueError:
            notebook = None
        own = _Page(source, course.secret, mark, comments.get(student, {}), hidden_tests)
        texts[student] = own.text(notebook)
        made.withheld.extend((student, cell) for cell in dict.fromkeys(own.withheld))
        with storage.atomic_write(folder / f"{assignment}.html") as file:
            file.write(texts[student].encode())
        made.written.append(student)
        if mark.state != "graded":
            made.waiting.append(student)
    made.zips.extend(_zips(course, assignment, texts))
    return made


def _comments(course, assignment):
    """Return student to grade id to what the instructor wrote about an answer."""
    from nbgrader.api import Gradebook, MissingEntry

    found = {}
    if not course.gradebook.exists():
        return found
    with folders.programs(), Gradebook(f"sqlite:///{course.gradebook}", course.name) as gradebook:
        try:
            submissions = gradebook.find_assignment(assignment).submissions
        except MissingEntry:
            return found
        for submission in submissions:
            for notebook in submission.notebooks:
                for comment in notebook.comments:
                    if comment.manual_comment:
                        own = found.setdefault(submission.student.id, {})
                        own[comment.name] = comment.manual_comment
    return found


def _zips(course, assignment, texts):
    """Write a zip for each platform that submissions came from, named as it names its files."""
    record = collect.load_record(course, assignment)["students"]
    paths = []
    for platform in ("moodle", "canvas"):
        files = {}
        for student, text in texts.items():
            known = record.get(student)
            prefix = collect.last(known)[platform] if known else ""
            if prefix:
                # Moodle reads the student off the folder, Canvas off the file's name.
                start = f"{prefix.rstrip('_')}_/" if platform == "moodle" else prefix
                files[f"{start}{assignment}_feedback.html"] = text
        path = course.folder / "upload" / f"{assignment}-{platform}.zip"
        path.unlink(missing_ok=True)
        if files:
            with storage.atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
                for name, text in sorted(files.items()):
                    entry = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
                    archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
            paths.append(path)
    return paths


# ---- one page


class _Page:
    def __init__(self, source, secret, mark, comments, hidden_tests):
        self.source, self.mark, self.comments = source, mark, comments
        self.hidden_tests, self.withheld = hidden_tests, []
        drawn = sources.drawn(source, secret)
        self.given = {_SCHEME.sub("", cell.source).strip() for cell in drawn.cells}
        self.secrets = [] if hidden_tests else _secrets(source, drawn, secret)

    def text(self, notebook):
        """Return the page; without a notebook, with the marks alone."""
        mark, name = self.mark, self.source.name
        body = [f"<p>For {pages.escape(mark.student.name)} ({pages.escape(mark.student.id)}).</p>"]
        if mark.state == "failed":
            why = mark.lines[0] if mark.lines else "the reason was not noted"
            body.append(
                f"<p><strong>The machine could not grade this: {pages.escape(why)}.</strong> "
                "Your instructor decides about the marks.</p>"
            )
        body += [self._points(), *(self._sections(notebook) if notebook else [])]
        return pages.page(f"{name}: {self.source.title}: feedback", "\n".join(body))

    def _points(self):
        """Return the table of points, part by part, and what is still open."""
        rows, grades = [], self.mark.grades
        for title, names in report.parts(self.source).items():
            own = [grades[name] for name in names if name in grades]
            waits = any(grade.waiting for grade in own)
            score = "not marked yet" if waits else float(sum(g.score for g in own))
            rows.append((title, score, float(sum(grade.of for grade in own))))
        if self.mark.penalty:
            rows.append(("Handed in late", -float(self.mark.penalty), ""))
        total = float(sum(grade.of for grade in grades.values()))
        rows.append(("In all", float(self.mark.score), total))
        table = pages.table("Your points", ("Part", "Points", "Of"), rows)
        if any(grade.waiting for grade in grades.values()):
            table += "\n<p>What is not marked yet counts nothing so far.</p>"
        return f"<h2>Points</h2>\n{table}"

    def _sections(self, notebook):
        title, sections = "Before the first part", {}
        yield "<p>The text of the assignment is in the notebook that you were given.</p>"
        for number, cell in enumerate(notebook.cells):
            given = cell.source.strip() in self.given
            if cell.cell_type == "markdown" and given:
                if heading := re.search(r"^## (.+)$", cell.source, re.M):
                    title = re.sub(r" \([\d.]+ points?\)\s*$", "", heading[1])
                continue
            if shown := self._cell(cell, number, given):
                sections.setdefault(title, []).append(shown)
        for title, shown in sections.items():
            yield f"<h2>{pages.escape(title)}</h2>"
            yield from shown

    def _cell(self, cell, number, given):
        """Return what a page shows of a cell; nothing of those that only set things up."""
        role = cell.metadata.get("nbgrader", {})
        name = str(role.get("grade_id") or f"cell {number + 1}")
        grade = self.mark.grades.get(name)
        if cell.cell_type != "code":
            head = f"Your answer{self._marked(grade)}" if grade else "A text of yours"
            text = shown.markdown(cell.source, cell.get("attachments"))
            return self._block(head, name, f'<div class="answer">\n{text}\n</div>')
        if grade and not role.get("solution"):
            return self._block(f"Test{self._marked(grade)}", name, self._test(cell, name, grade))
        if given and role.get("locked"):
            return ""
        head = "A cell of the assignment" if given else "A cell of yours"
        if role.get("solution"):
            head = f"Your code{self._marked(grade)}"
        code = f"<pre><code>{pages.escape(shown.short(cell.source))}</code></pre>"
        return self._block(head, name, code + self._outputs(cell, name))

    def _block(self, head, name, text):
        note = self.comments.get(name)
        if note:
            text += f"\n<p><strong>From your instructor:</strong></p>\n{shown.markdown(note)}"
        return f"<h3>{head} <small>({pages.escape(name)})</small></h3>\n{text}"

    def _marked(self, grade):
        if grade is None:
            return ""
        if grade.waiting:
            return f": not marked yet, of {grade.of:g}"
        kind = "good" if grade.score >= grade.of else "bad"
        return f': <span class="{kind}">{grade.score:g} of {grade.of:g}</span>'

    def _test(self, cell, name, grade):
        shown = ""
        if self.hidden_tests:
            shown = f"<pre><code>{pages.escape(cell.source)}</code></pre>\n"
        said = self._outputs(cell, name, test=True)
        if not said:
            passed = grade.score >= grade.of
            said = "<p>Passed.</p>" if passed else "<p>Not passed; it left no message.</p>"
        return shown + said

    def _outputs(self, cell, name, test=False):
        found = []
        for output in cell.get("outputs", []):
            kind = output.get("output_type")
            if kind == "stream":
                found.append(self._text(output.get("text", ""), name))
            elif kind == "error":
                found.append(self._text(self._error(output, test), name))
            elif kind in ("display_data", "execute_result"):
                found.append(self._rich(output.get("data", {}), name))
        return "\n".join(filter(None, found))

    def _error(self, output, test):
        """Return an error in words; of a test, without its lines, which may be hidden ones."""
        lines = [str(line) for line in output.get("traceback", [])]
        last = f"{output.get('ename', 'Error')}: {output.get('evalue', '')}"
        if test and not self.hidden_tests:
            return lines[0] if len(lines) == 1 else last
        return "\n".join(lines) or last

    def _text(self, text, name):
        text = shown.plain(text if isinstance(text, str) else "".join(map(str, text)))
        if not text.strip():
            return ""
        if self._tells(text):
            self.withheld.append(name)
            return f"<p><em>{_GUARD}</em></p>"
        return f"<pre>{pages.escape(shown.short(text))}</pre>"

    def _tells(self, text):
        flat = _flat(text)
        return any(secret in flat for secret in self.secrets)

    def _rich(self, data, name):
        """Return a picture, or the plain text that goes with every output; never its HTML."""
        alt = "A picture that this cell made"
        for kind in shown.PICTURES:
            if isinstance(data.get(kind), str):
                return f"<p>{shown.picture(kind, data[kind], alt)}</p>"
        page = data.get("text/html") or data.get("image/svg+xml")
        page = page if isinstance(page, str) else ""
        if svg := shown.drawing(page):
            words = shown.words(svg)
            if self._tells(words):
                return self._text(words, name)
            return f"<p>{shown.picture_of_drawing(svg, alt)}</p>"
        plain = data.get("text/plain") or data.get("text/markdown") or data.get("text/latex")
        return self._text(plain or shown.words(page), name)


def _flat(text):
    """Return a text on one line without backslashes, as in a notebook's file that is printed."""
    return " ".join(text.replace("\\n", " ").replace("\\", "").split())


def _secrets(source, drawn, secret):
    """Return what no page may show: the telling lines of hidden tests, and the secret numbers."""
    code = [cell.source for cell in drawn.cells]
    public = _flat("\n".join(_HIDDEN.sub("", text) for text in code))
    lines = {_flat(line) for text in code for found in _HIDDEN.findall(text) for line in
             found.split("\n")}  # fmt: skip
    values = (repr(value) for value in sources.draw(source, secret).secret.values())
    telling = {value for value in values if len(value) >= 5 and value not in public}
    return sorted(telling | {line for line in lines if len(line) >= 12 and line not in public})


def describe(made, assignment):
    """Return a `Feedback` in words."""
    lines = [f"{assignment}: {len(made.written)} pages of feedback."]
    lines += [f"  to upload: {path}" for path in made.zips]
    lines += [f"  {name}: written, with answers not marked yet" for name in made.waiting]
    lines += [f"  {name}: no page, handed in and not graded since" for name in made.skipped]
    lines += [
        f"  {name}: an output of {cell} holds lines of the hidden tests, and is not shown"
        for name, cell in made.withheld
    ]
    return "\n".join(lines)
