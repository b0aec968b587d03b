"""Make the lecture's slides from the lessons that ran: ``python -m tools.slides``.

The source, book/slides/lecture.md, has the words. Slides are parted by lines ``---``; a slide is a
title, its text, and after a line such as ``{notes} 2 min`` what to say meanwhile. A line of the
text that begins like one of these pulls in what a lesson or the ledger has:

- ``{figure} 03: Mean activation``   the figure of lesson 03 whose sentence begins so
- ``{vote} 03: which layer``         the prediction of lesson 03 whose title begins so
- ``{answer}``                       what happens, of the vote before
- ``{equation} 06: 5``               the equation that lesson 06 tags with (5)
- ``{card} 11``                      the practice card of lesson 11
- ``{claims} C13 partly, C15 reproduced``  claims; the build stops once a verdict is another one
- ``{widget} signal, depth: 10``     a widget and its state

and so do numbers within a text or a note. ``#`` stands for the number, ``...`` for any words:

- ``{{figure: err on #}}``           from the sentence of the slide's figure
- ``{{03 Mean activation: reach #}}``  from the sentence of another one
- ``{{C13: sd5/sd1 is #}}``          from what the ledger says to a claim
- ``{{ledger: partly}}``             how many claims have this verdict; ``all``: of all
"""

import base64
import html
import re
import sys

from tools.book import ROOT, executed

SOURCE = "book/slides/lecture.md"
TARGET = "_build/html/book/lecture.html"
FORM = re.compile(
    r"\s*# (?P<title>.+?)\n(?P<body>.*?)^\{notes\} (?P<minutes>[\d.]+) min\n(?P<notes>.+)",
    flags=re.M | re.S,
)
NUMBER = r"(-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?)"


class SlideError(ValueError):
    """The slides cannot be made; the message says which slide, and what to do."""


# ---------------------------------------------------------------- the source


def read(text):
    """Return the slides of a source as dicts of title, body, minutes and notes.

    Raises
    ------
    SlideError
        If a slide lacks a part, or the planned minutes do not add up to those of the first line,
        such as ``50 minutes``.
    """
    first, _, rest = text.partition("\n")
    planned = re.fullmatch(r"(\d+) minutes", first)
    if not planned:
        raise SlideError(f"{SOURCE} begins with a line such as '50 minutes', not {first!r}")
    slides = []
    for number, part in enumerate(re.split(r"^---$", rest, flags=re.M), 1):
        found = FORM.fullmatch(part)
        if not found:
            raise SlideError(
                f"slide {number} needs '# its title' first, and after its text '{{notes}} 2 min'"
                f" and what to say; it begins {part.strip()[:60]!r}"
            )
        slides.append({**found.groupdict(), "minutes": float(found["minutes"])})
    total = sum(slide["minutes"] for slide in slides)
    if total != int(planned[1]):
        raise SlideError(f"the notes plan {total:g} minutes, the lecture has {planned[1]}")
    return slides


# ---------------------------------------------------------------- what lessons and ledger have


class Lessons:
    """The lessons of a course folder: their text, and the figures of those that ran."""

    def __init__(self, root):
        self.root = root
        self._figures = {}

    def path(self, number):
        """Return the source of the lesson with this number, such as "03"."""
        found = sorted((self.root / "lessons").glob(f"{number}_*.md"))
        if not found:
            raise SlideError(f"there is no lesson {number!r}; lessons are numbered 00, 01, 02 ...")
        return found[0]

    def figures(self, number):
        """Return what the lesson drew when it ran: a dict from a figure's sentence to its SVG."""
        if number not in self._figures:
            path = self.path(number)
            notebook = executed(self.root, path.stem)
            if notebook is None:
                raise SlideError(
                    f"lesson {path.stem} has not run as it stands now. Run 'make book':"
                    " it runs the lessons, and makes the slides when they are through."
                )
            shown = (
                output.data["text/html"]
                for cell in notebook.cells
                for output in cell.get("outputs", ())
                if "course-figure" in output.get("data", {}).get("text/html", "")
            )
            drawings = re.findall(r'<svg role="img" aria-label=".*?</svg>', "".join(shown), re.S)
            self._figures[number] = {
                html.unescape(re.search('aria-label="(.*?)"', svg)[1]): svg for svg in drawings
            }
        return self._figures[number]

    def figure(self, reference):
        """Return sentence and SVG of the figure that ``03: how its sentence begins`` names."""
        number, _, beginning = (part.strip() for part in reference.partition(":"))
        figures = self.figures(number)
        found = [sentence for sentence in figures if beginning and sentence.startswith(beginning)]
        if len(found) != 1:
            there = "\n".join(f"  - {sentence[:90]}" for sentence in figures)
            raise SlideError(
                f"{len(found) or 'no'} figures of lesson {number} have a sentence that begins"
                f" {beginning!r}; it must be one. Its figures:\n{there}"
            )
        return found[0], figures[found[0]]

    def prediction(self, reference):
        """Return title, question, options and the right option's letter of a prediction."""
        number, _, beginning = (part.strip() for part in reference.partition(":"))
        form = r"^:::\{admonition\} Predict: ([^\n]+)\n:class: prediction answer-(\w)\n(.*?)^:::$"
        every = re.findall(form, self.path(number).read_text(), flags=re.M | re.S)
        found = [one for one in every if beginning and one[0].startswith(beginning)]
        if len(found) != 1:
            there = "\n".join(f"  - {title}" for title, *_ in every)
            raise SlideError(
                f"{len(found) or 'no'} predictions of lesson {number} begin {beginning!r}; it must"
                f" be one. Its predictions:\n{there}"
            )
        title, letter, body = found[0]
        question, *options = re.split(r"^\d\. ", body, flags=re.M)
        return title, question.strip(), [" ".join(o.split()) for o in options], letter

    def equation(self, reference):
        """Return the TeX of the equation that ``06: 5`` names, without its tag and last comma."""
        number, _, tag = (part.strip() for part in reference.partition(":"))
        every = re.findall(r"^\$\$(.*?)\$\$$", self.path(number).read_text(), flags=re.M | re.S)
        found = [tex for tex in every if rf"\tag{{{tag}}}" in tex]
        if not found:
            raise SlideError(f"lesson {number} has no equation with the tag ({tag})")
        return found[0].replace(rf"\tag{{{tag}}}", "").strip().rstrip(".,"), tag

    def card(self, number):
        """Return title and (term, words) of the card for practice that ends a lesson."""
        form = r"^:::\{admonition\} ([^\n]+)\n:class: practice-card\n(.*?)^:::$"
        found = re.search(form, self.path(number).read_text(), flags=re.M | re.S)
        if not found:
            raise SlideError(f"lesson {number} has no practice card")
        return found[1], re.findall(
            r"^(\w+)\n: (.*?)(?=\n\n|\Z)", found[2].strip(), flags=re.M | re.S
        )


def pick(sentence, pattern):
    """Return what a sentence has from the first to the last ``#`` of a pattern.

    ``#`` stands for a number, ``...`` for any words. Raises SlideError if the sentence lacks them.
    """
    expression = re.escape(pattern.strip()).replace(r"\.\.\.", ".*?").replace(r"\#", NUMBER)
    found = re.search(expression, sentence)
    if not found or not found.groups():
        raise SlideError(f"no number at {pattern.strip()!r} in {sentence!r}")
    picked = sentence[found.start(1) : found.end(found.re.groups)]
    return re.sub(r"(?<![\d,.])\d{5,}(?![\d,.]*\d)", lambda m: f"{int(m[0]):,}", picked)


# ---------------------------------------------------------------- from Markdown to HTML


class Deck:
    """Turns slides into HTML; remembers the vote that waits for its answer."""

    def __init__(self, root):
        from course_lib import claims

        self.lessons = Lessons(root)
        self.ledger = {claim.id: (claim, verdict) for claim, verdict in claims.ledger()}
        self.widgets = {}
        self.vote = None

    def slide(self, number, slide):
        """Return the HTML of one slide and its notes."""
        try:
            self.sentences = []
            body = "".join(self.part(part) for part in _parts(slide["body"]))
            notes = self.words(slide["notes"])
            title = self.words(slide["title"]).strip().removeprefix("<p>").removesuffix("</p>")
        except SlideError as error:
            raise SlideError(f"slide {number}, {slide['title']!r}: {error}") from error
        level = 1 if number == 1 else 2
        minutes = f"{slide['minutes']:g} minute{'s' if slide['minutes'] != 1 else ''}"
        return (
            f'<section class="slide" id="{number}" data-minutes="{slide["minutes"]:g}"'
            f' aria-labelledby="t{number}" tabindex="-1">\n<div class="face">'
            f'<h{level} id="t{number}">{title}</h{level}>\n{body}</div>\n'
            f'<details class="notes"><summary>What to say, {minutes}</summary>'
            f"<div>{notes}</div></details>\n</section>"
        )

    def part(self, text):
        """Return the HTML of a piece that is pulled in, or of the words between two of them."""
        found = re.fullmatch(r"\{(\w+)\} *(.*)", text)
        if not found:
            return self.words(text)
        pieces = ("figure", "vote", "answer", "equation", "card", "claims", "widget")
        if found[1] not in pieces:
            raise SlideError(f"no piece {found[1]!r}; there are {', '.join(pieces)}")
        return getattr(self, f"_{found[1]}")(found[2])

    def words(self, text):
        """Return Markdown with its numbers and mathematics as HTML."""
        text = re.sub(r"\{\{(.+?)\}\}", lambda m: self.number(m[1]), text, flags=re.S)
        text = re.sub(r"\{eq\}`eq-(\d+)`", r"(\1)", text)
        if found := re.search(r"\{\w+\}`", text):
            raise SlideError(f"a slide has no role {found[0]!r}")
        text = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
        return _markdown().render(text)

    def number(self, reference):
        """Return the number that ``where: which`` names."""
        source, _, pattern = (" ".join(part.split()) for part in reference.partition(":"))
        if source == "ledger":
            verdicts = [verdict.verdict for _, verdict in self.ledger.values()]
            count = len(verdicts) if pattern == "all" else verdicts.count(pattern)
            if not count:
                raise SlideError(f"no claim is {pattern!r}")
            return str(count)
        if source == "figure":
            if not self.sentences:
                raise SlideError("{{figure: ...}} stands after the figure, or in the notes")
            return pick(self.sentences[-1], pattern)
        if source in self.ledger:
            return pick(self.ledger[source][1].evidence, pattern)
        lesson, _, beginning = source.partition(" ")
        return pick(self.lessons.figure(f"{lesson}: {beginning}")[0], pattern)

    def _figure(self, reference):
        sentence, svg = self.lessons.figure(reference)
        self.sentences.append(sentence)
        return f'<div class="figure">{svg}</div>\n'

    def _vote(self, reference):
        title, question, options, letter = self.vote = self.lessons.prediction(reference)
        title = title[0].upper() + title[1:]
        title += "" if title[-1] in ".?!:" else "."
        listed = "".join(f"<li>{self.words(o)}</li>" for o in options)
        question = self.words(f"{title} {question}")
        return f'<div class="vote">{question}<ol type="a">{listed}</ol></div>\n'

    def _answer(self, _):
        if self.vote is None:
            raise SlideError("{answer} needs a {vote} on a slide before it")
        *_, options, letter = self.vote
        self.vote = None
        right = self.words(f"**{letter}.** " + options["abcdefgh".index(letter)])
        return f'<div class="answer">{right}</div>\n'

    def _equation(self, reference):
        tex, tag = self.lessons.equation(reference)
        long = " long" if len(tex) > 90 else ""
        return (
            f'<div class="equation{long}">{mathml(tex, True)}'
            f'<span class="tag">({html.escape(tag)})</span></div>\n'
        )

    def _card(self, number):
        title, terms = self.lessons.card(number.strip())
        listed = "".join(f"<dt>{term}</dt><dd>{self.words(words)}</dd>" for term, words in terms)
        head = f"<p><strong>{html.escape(title)}</strong></p>"
        return f'<div class="card">{head}<dl>{listed}</dl></div>\n'

    def _claims(self, listed):
        from course_lib import verdicts

        rows = []
        for said in listed.split(","):
            name, _, verdict = said.strip().partition(" ")
            if name not in self.ledger:
                raise SlideError(f"the ledger has no claim {name!r}")
            claim, found = self.ledger[name]
            if verdict != found.verdict:
                raise SlideError(f"{name} is {found.verdict!r} in the ledger, not {verdict!r}")
            rows.append(
                f'<li><span class="verdict {verdicts.VERDICTS[verdict]}">{verdict}</span>'
                f"<span><b>{name}</b> {html.escape(claim.statement)}</span></li>"
            )
        return f'<ul class="claims">{"".join(rows)}</ul>\n'

    def _widget(self, reference):
        import traitlets
        import yaml

        from course_lib import widgets

        name, _, state = reference.partition(",")
        if name not in widgets.ALL:
            raise SlideError(f"no widget {name!r}; choose among {', '.join(widgets.ALL)}")
        try:
            widget = widgets.ALL[name](**yaml.safe_load("{" + state + "}"))
        except (TypeError, traitlets.TraitError, yaml.YAMLError) as error:
            raise SlideError(f"the widget {name} cannot begin with {state!r}: {error}") from error
        self.widgets[name] = widgets.base.registration(widgets.ALL[name])
        return f'<div class="live">{widget.mount()}</div>\n'


def _parts(text):
    """Return the lines that pull something in, and the words between them."""
    return [part for part in re.split(r"^(\{\w+\}.*)$", text, flags=re.M) if part.strip()]


def mathml(tex, block=False):
    """Return TeX as MathML, which browsers draw and read out without any script."""
    from docutils.utils.math.latex2mathml import MathError, tex2mathml

    # What docutils does not know: another name for three dots, larger brackets, a smaller space.
    tex = re.sub(r"\\(?:[bB]igg?[lr]?(?![a-z])|!)", "", tex.replace(r"\dots", r"\ldots"))
    tex = re.sub(r"(?<=[\w}]) ?\\operatorname", r"\\,\\operatorname", tex)  # a space that TeX adds
    try:
        return re.sub(r"\n\s*", "", tex2mathml(tex, as_block=block))
    except MathError as error:
        raise SlideError(f"{tex!r} cannot be written as MathML: {error}") from error


def _markdown():
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    reader = MarkdownIt("commonmark", {"html": False}).use(dollarmath_plugin)
    reader.add_render_rule("math_inline", lambda _, tokens, i, *__: mathml(tokens[i].content))
    return reader


# ---------------------------------------------------------------- the file


def page(root=ROOT):
    """Return the deck as one HTML file that needs neither network nor other files."""
    from course_lib import widgets

    source = root / SOURCE
    slides = read(source.read_text(encoding="utf-8"))
    deck = Deck(root)
    body = "\n".join(deck.slide(number, slide) for number, slide in enumerate(slides, 1))
    if deck.vote:
        raise SlideError(f"the vote {deck.vote[0]!r} has no {{answer}}")
    titles = re.findall(r'<h\d id="t(\d+)">(.*?)</h\d>', body)
    static = root / "book" / "static"
    # The palette is written once, in the style sheet of the book.
    style = (static / "course.css").read_text()
    colours = re.findall(r'^html\[data-theme="(?:light|dark)"\] (\{.*?\})', style, re.M | re.S)
    font = (static / "vendor/fonts/source-sans-3-latin-wght-normal.woff2").read_bytes()
    mount = (widgets.base.FOLDER / "mount.js").read_text()
    script = [*deck.widgets.values(), mount, (source.parent / "deck.js").read_text()]
    fill = {
        "TITLE": re.sub("<.*?>", "", titles[0][1]),
        "ICON": base64.b64encode((static / "favicon.svg").read_bytes()).decode(),
        "FONT": base64.b64encode(font).decode(),
        "LIGHT": colours[0],
        "DARK": colours[1],
        "STYLE": (source.parent / "deck.css").read_text(),
        "LIST": "".join(f'<li><a href="#{n}">{title}</a></li>' for n, title in titles),
        "COUNT": str(len(slides)),
        "SLIDES": body,
        "SCRIPT": "".join(f"<script>{widgets.base.in_script(one)}</script>\n" for one in script),
    }
    return re.sub(r"@([A-Z]+)@", lambda m: fill[m[1]], (source.parent / "deck.html").read_text())


def write(root=ROOT):
    """Write the deck into the built book and return its path; a deck of before goes first.

    Raises SlideError where it cannot be made.
    """
    target = root / TARGET
    target.unlink(missing_ok=True)
    if not target.parent.exists():
        raise SlideError("no book yet. Run 'make book': it runs the lessons and makes the slides.")
    text = page(root)
    target.write_text(text, encoding="utf-8")
    return target


if __name__ == "__main__":
    try:
        print(f"The slides are in {write()}")
    except SlideError as error:
        sys.exit(f"No slides: {error}")
