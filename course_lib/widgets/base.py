"""What the widgets share in Python: their text, their place in a page, their still picture.

A widget is one ES module, joined from files of this folder. Jupyter runs it through anywidget; a
page without a kernel runs the same text with `book/static/widgets.js`.
"""

import functools
import html
import json
from pathlib import Path

import traitlets

from course_lib import activations, plots

try:
    import anywidget
except ModuleNotFoundError as error:  # it is not needed to train or to measure
    raise ModuleNotFoundError(
        "the widgets need the package anywidget: pip install 'hard-to-train[lab]'"
    ) from error

FOLDER = Path(__file__).parent
# A dash pattern of plots.LINES, as SVG writes it.
_DASHES = {"-": "", "--": "6 4", ":": "2 3"}
_INHERITED = set(anywidget.AnyWidget.class_traits()) | {"readings"}


class Widget(anywidget.AnyWidget):
    """A figure to operate: the same in JupyterLab and in a page without a kernel.

    Attributes
    ----------
    readings : dict
        The numbers that the widget shows in Jupyter; empty until it is on the screen.

    Raises
    ------
    TypeError
        If an argument is none of the widget's; the message lists them.
    traitlets.TraitError
        If a value is not allowed; the message says what is.
    """

    name = ""  # of its JavaScript file and in pages
    parts = ("core", "stage")  # the files that are joined before its own
    readings = traitlets.Dict().tag(sync=True)

    def __init__(self, **state):
        unknown = set(state) - set(self.keys_of_state())
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no {', '.join(sorted(unknown))};"
                f" choose among {', '.join(self.keys_of_state())}"
            )
        self._esm, self._css = self.source(), style()
        super().__init__(**state)

    @classmethod
    def keys_of_state(cls):
        """Return the names of what determines the widget's picture: its arguments."""
        own = (key for key in cls.class_traits(sync=True) if key not in _INHERITED)
        return [key for key in own if not key.startswith("_")]

    @classmethod
    def source(cls):
        """Return the text of the widget's ES module."""
        files = [_text(f"{part}.js") for part in (*cls.parts, cls.name)]
        return "\n".join([_look(), cls.data(), *files])

    @classmethod
    def data(cls):
        """Return JavaScript that stands before the files: what a widget's data need."""
        return ""

    @property
    def state(self):
        """What determines the picture: a dict of plain values."""
        return {key: getattr(self, key) for key in self.keys_of_state()}

    def still(self):
        """Draw this state without JavaScript; return the figure and its alternative text."""
        raise NotImplementedError

    def mount(self):
        """Return the widget's place in a page as HTML, with the still picture in it.

        `book/static/widgets.js` puts the widget there; without it the picture stays.
        """
        state = html.escape(json.dumps(self.state), quote=True)
        return (
            f'<div class="course-widget" data-widget="{self.name}" data-state="{state}">'
            f'<div class="figure course-figure">{plots.svg(*self.still())}</div>'
            '<p class="still-note">A still picture. Where JavaScript runs, this figure can be'
            " operated.</p></div>"
        )

    def page(self):
        """Return a whole HTML page with the widget alone: one file that needs no network."""
        return _PAGE.format(
            title=html.escape(type(self).__name__),
            mount=self.mount(),
            script=in_script(registration(type(self))),
            shim=in_script(_shim()),
        )

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return data | {"text/html": self.mount()}, metadata


@functools.cache
def _text(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def _shim():
    return _text("mount.js")


@functools.cache
def style():
    """Return the style sheet of all widgets."""
    return _text("widgets.css")


@functools.cache
def _look():
    """Return the look of the course's figures as a JavaScript constant."""
    look = {
        "colours": plots.COLOURS,
        "labels": {name: activations.get(name).label for name in activations.NAMES},
        "layers": plots.LAYERS,
        "markers": list(plots.MARKERS),
        "dashes": {scheme: _DASHES[line] for scheme, line in plots.LINES.items()},
    }
    return f"const LOOK = {json.dumps(look)};"


def registration(widget):
    """Return a script that hands a widget's text to the page, as a string.

    A page opened from a folder may load a script, but neither import a module nor fetch a file.
    """
    text = json.dumps({"esm": widget.source(), "css": style()})
    return f"(window.courseWidgets ||= {{}})[{json.dumps(widget.name)}] = {text};\n"


def in_script(text):
    """Return a script's text so that it can stand inside a page."""
    return text.replace("</", "<\\/")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; --ink: #1c242d; --quiet: #505c69; --paper: #ffffff;
  --tint: #f5f6f4; --rule: #d8dcdf; --accent: #0b629a; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e3e6e9; --quiet: #a4afba;
  --paper: #14181d; --tint: #1b2127; --rule: #37414b; --accent: #79bdec; }} }}
body {{ margin: 0 auto; padding: 12px; max-width: 60rem; background: var(--paper);
  color: var(--ink); font-family: system-ui, sans-serif; }}
</style>
</head>
<body>
<main>{mount}</main>
<script>{script}</script>
<script>{shim}</script>
</body>
</html>
"""
