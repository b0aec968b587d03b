"""The concept check: its questions as directives, written so that a page without scripts has all.

A question is a title, a stem in Markdown, then its choices, each with the reason why it is right or
wrong under it::

    :::{concept} A grey card
    :right: c
    :theme: Signals on the way up
    :lessons: 1, 6
    What is asked.

    The first choice
    : Why it is wrong, in one paragraph.

    The second choice
    : Why it is wrong.
    :::

`concept-result` is where book/static/concepts.js puts the score, `concept-key` the table of right
answers, which only paper shows, and only if asked to.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList

LETTERS = "abcde"
LESSONS = Path(__file__).parents[2] / "lessons"


def parse(lines):
    """Split a question into its stem and its choices.

    Returns (stem, [(choice, reason), ...]), all in Markdown; ValueError if a line has no place.
    """
    stem, choices = [], []
    for block in filter(None, re.split(r"\n\s*\n", "\n".join(lines).strip())):
        choice, colon, reason = block.partition("\n: ")
        if colon:
            choices.append((choice, re.sub(r"\n\s+", "\n", reason)))
        elif choices:
            raise ValueError(f"text after the choices: {block[:60]!r}")
        else:
            stem.append(block)
    return "\n\n".join(stem), choices


def lesson(number):
    """Return the name of the source of a lesson; ValueError if there is none of that number."""
    found = sorted(path.stem for path in LESSONS.glob(f"{int(number):02d}_*.md"))
    if not found:
        raise ValueError(f"no lesson {number}")
    return found[0]


def check(title, stem, choices, right):
    """Raise ValueError unless a question is whole: a stem, 4 or 5 choices, one of them right."""
    letters = list(LETTERS[: len(choices)])
    if not stem:
        raise ValueError(f"{title!r} asks nothing")
    if not 4 <= len(choices) <= 5:
        raise ValueError(f"{title!r} has {len(choices)} choices; 4 or 5 are allowed")
    if right not in letters:
        raise ValueError(f"{title!r} has :right: {right!r}; choose among {', '.join(letters)}")


class Concept(Directive):
    """One question."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {name: directives.unchanged_required for name in ("right", "theme", "lessons")}

    def run(self):
        title, right = self.arguments[0], self.options.get("right", "")
        try:
            stem, choices = parse(self.content)
            check(title, stem, choices, right)
            numbers = [number.strip() for number in self.options["lessons"].split(",")]
            links = [f"[lesson {number}](../lessons/{lesson(number)}.md)" for number in numbers]
            theme = html.escape(self.options["theme"])
        except (ValueError, KeyError) as error:
            raise self.error(f"concept: {error}") from error
        asked = self.state.document.settings.env.temp_data.setdefault("concepts", [])
        asked.append((html.escape(title), right, theme, ", ".join(numbers)))
        name = f"concept-{len(asked)}"

        box = nodes.container(classes=["concept"], ids=[name])
        heading = f'<h3 id="{name}-title" data-right="{right}" data-theme="{theme}">'
        heading += f"Question {len(asked)}: {html.escape(title)}</h3>"
        box += nodes.raw("", heading, format="html")
        box += self.markdown(nodes.container(classes=["stem"], ids=[f"{name}-stem"]), stem)
        box += self.lettered("choices", [choice for choice, _ in choices])
        said = [
            f"**{'Right' if letter == right else 'Wrong'}.** {reason}"
            for letter, (_, reason) in zip(LETTERS, choices, strict=False)
        ]
        box += nodes.raw("", "<details><summary>The right answer, and why</summary>", format="html")
        treated = f"Right is **{right}**. It is treated in {' and '.join(links)}."
        box += self.markdown(nodes.container(classes=["treated"]), treated)
        box += self.lettered("reasons", said)
        box += nodes.raw("", "</details>", format="html")
        return [box]

    def markdown(self, node, text):
        """Put parsed Markdown into a node, and return it."""
        lines = StringList(text.splitlines(), self.state_machine.document["source"])
        self.state.nested_parse(lines, self.content_offset, node)
        return node

    def lettered(self, name, texts):
        items = [self.markdown(nodes.list_item(), text) for text in texts]
        style = {"enumtype": "loweralpha", "prefix": "", "suffix": "."}
        return nodes.enumerated_list("", *items, classes=[name], **style)


class ConceptResult(Directive):
    """Where the result is shown; the body is what a page without scripts says there."""

    has_content = True
    option_spec = {"edition": directives.positive_int}

    def run(self):
        box = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, box)
        start = f'<div class="concept-result" data-edition="{self.options["edition"]}">'
        raw = [nodes.raw("", text, format="html") for text in (start, "</div>")]
        return [raw[0], *box.children, raw[1]]


KEY = """<p class="key-switch"><label><input type="checkbox" id="concept-key-switch"
autocomplete="off"> Print the key, too, on a page of its own at the end</label></p>
<div class="concept-key"><p><strong>Concept check: key</strong></p>
<table class="table"><thead><tr><th scope="col">question</th><th scope="col">right</th>
<th scope="col">idea</th><th scope="col">lessons</th></tr></thead>
<tbody>{rows}</tbody></table></div>
"""


class ConceptKey(Directive):
    """The table of right answers to the questions above it, with the switch that prints it."""

    def run(self):
        asked = self.state.document.settings.env.temp_data.get("concepts", [])
        rows = ""
        for number, (title, *cells) in enumerate(asked, 1):
            others = "".join(f"<td>{cell}</td>" for cell in cells)
            rows += f"<tr><td>{number}. {title}</td>{others}</tr>"
        return [nodes.raw("", KEY.format(rows=rows), format="html")]


def add_style_and_script(app, pagename, templatename, context, doctree):
    """Load both on the page that has the questions, and nowhere else."""
    if doctree is not None and any(
        "concept" in box["classes"] for box in doctree.findall(nodes.container)
    ):
        app.add_css_file("concepts.css")
        app.add_js_file("concepts.js", defer="defer")


def setup(app):
    app.add_directive("concept", Concept)
    app.add_directive("concept-result", ConceptResult)
    app.add_directive("concept-key", ConceptKey)
    app.connect("html-page-context", add_style_and_script)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
