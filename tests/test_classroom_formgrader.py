"""What the formgrader shows runs nothing that a student wrote, and its buttons grade nothing."""

import html.parser
import re

import nbformat
import pytest
from nbconvert.exporters import HTMLExporter
from nbgrader.server_extensions.formgrader import handlers
from traitlets.config import Config, PyFileConfigLoader

from course_lib.classroom import course, formgrader

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ATTACKS = {
    "a tag": '<img src=x onerror="hit()">',
    "a script": "<script>hit()</script>",
    "a tag across lines": "<img\nsrc=x onerror=hit()>",
    "after a fold": '<details><summary>x</summary><b onclick="hit()">x</b></details>',
    "a tag that a fold's end makes": "<</details>img src=x onerror=hit()>",
    "a comment's end": "<!-- --><img src=x onerror=hit()>",
    "a link": "[click](javascript:hit())",
    "a link by reference": "[click][x]\n\n[x]: javascript:hit()",
    "an automatic link": "<javascript:hit()>",
    "a picture of elsewhere": "![me](https://example.org/seen.png)",
    "in a formula": "$a<img src=x onerror=hit()>b$",
}
OUTPUTS = {
    "html": {"text/html": "<script>hit()</script>", "text/plain": "words"},
    "script": {"application/javascript": "hit()"},
    "drawing": {"image/svg+xml": '<svg onload="hit()"></svg>'},
    "markdown": {"text/markdown": "<img src=x onerror=hit()>"},
    "formula": {"text/latex": "<img src=x onerror=hit()>"},
    "no picture": {"image/png": '"><img src=x onerror=hit()>'},
}


class Tags(html.parser.HTMLParser):
    """Collects what could run or fetch: tags and attributes that hold the attack."""

    def __init__(self):
        super().__init__()
        self.found, self.inside, self.pictures = [], "", []

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.found += [f"{tag} {k}" for k, v in attributes if "hit(" in (v or "")]
        if tag == "img":
            self.pictures.append(dict(attributes).get("src", ""))

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in ("script", "style", "svg") and "hit(" in data:
            self.found.append(self.inside)


def shown(notebook, configured=True):
    """Return what could run, and the sources of the pictures, in the formgrader's page."""
    settings = Config()
    if configured:
        settings.HTMLExporter.preprocessors = ["course_lib.classroom.formgrader.Plain"]
    settings.HTMLExporter.template_name = "formgrade"
    settings.HTMLExporter.extra_template_basedirs = [handlers.template_path]
    about = {"base_url": "", "student": "s1", "submission_id": "1", "index": 0, "total": 1}
    about |= {"notebook_id": "ps2", "assignment_id": "ps2", "first_name": "", "last_name": ""}
    about |= {"notebook_path": "ps2.ipynb"}
    text, _ = HTMLExporter(config=settings).from_notebook_node(notebook, resources=about)
    tags = Tags()
    tags.feed(text)
    return tags.found, [one for one in tags.pictures if one], text


def written(text, kind="markdown", **more):
    role = {"grade": True, "grade_id": "ps2-words", "locked": False, "points": 4}
    role |= {"cell_type": "markdown", "schema_version": 3, "solution": True, "task": False}
    make = {"markdown": nbformat.v4.new_markdown_cell, "raw": nbformat.v4.new_raw_cell}[kind]
    metadata = {"nbgrader": role} if kind == "markdown" else {"raw_mimetype": "text/html"}
    return nbformat.v4.new_notebook(cells=[make(text, metadata=metadata, **more)])


def displayed(data, **more):
    output = nbformat.v4.new_output("display_data", data=data, **more)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", outputs=[output])])


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_nothing_in_a_written_answer_runs_or_fetches(attack):
    found, pictures, _ = shown(written(attack))
    assert found == [] and pictures == []


@pytest.mark.parametrize("data", OUTPUTS.values(), ids=OUTPUTS)
def test_nothing_in_an_output_runs(data):
    found, pictures, text = shown(displayed(data))
    assert found == [] and not any("hit" in one for one in pictures)
    assert ("words" in text) == ("text/plain" in data)


def test_neither_does_a_raw_cell_or_what_describes_a_picture():
    assert shown(written(ATTACKS["a tag"], "raw"))[0] == []
    size = {"image/png": {"width": '1" onload="hit()'}}
    assert shown(displayed({"image/png": PIXEL}, metadata=size))[0] == []
    kind = {"x.png": {'image/png" onerror="hit()': PIXEL}}
    assert shown(written("![x](attachment:x.png)", attachments=kind))[:2] == ([], [])
    assert shown(written("![x](attachment:lost.png)"))[:2] == ([], []), "and the page is shown"


def test_without_the_configuration_it_would_run():
    """So that the tests above can fail."""
    assert shown(written(ATTACKS["a tag"]), configured=False)[0] == ["img onerror"]
    assert shown(written(ATTACKS["a link"]), configured=False)[0] == ["a href"]
    assert shown(displayed(OUTPUTS["html"]), configured=False)[0] == ["script"]


def test_what_an_answer_needs_is_kept():
    answer = (
        "**Anna** sums: $a < b$ and $z_l$, `w[0](x)`.\n\n- one\n\n> two\n\n![p](attachment:p.png)"
    )
    attached = {"p.png": {"image/png": PIXEL}}
    _, pictures, text = shown(written(answer, attachments=attached))
    assert pictures == [f"data:image/png;base64,{PIXEL}"]
    for wanted in ("<strong>Anna</strong>", "$a &lt; b$", "<li>one</li>", "<blockquote>", "w[0]"):
        assert wanted in text
    assert shown(displayed({"image/png": PIXEL}))[1] == [f"data:image/png;base64,{PIXEL}"]


def test_a_course_folder_is_configured_so(tmp_path):
    made = course.init(tmp_path / "autumn")
    found = PyFileConfigLoader("nbgrader_config.py", str(made.folder)).load_config()
    assert found.HTMLExporter.preprocessors == [
        f"{formgrader.Plain.__module__}.{formgrader.Plain.__name__}"
    ]
    where = found.CourseDirectory.submitted_directory
    assert re.fullmatch("[a-z-]+", where) and where != "submitted"
    assert found.CourseDirectory.feedback_directory != "feedback"
    # Our own commands go to the folders themselves.
    assert set(course.config(made).CourseDirectory) == {"root", "course_id"}
