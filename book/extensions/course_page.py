"""What the pages need that no setting of Sphinx or of its theme gives."""

import json
import shutil
from pathlib import Path

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from myst_nb.sphinx_ import NbMetadataCollector

from course_lib import widgets
from course_lib.classroom import sources

SPEECH = Path(__file__).parents[1] / "static" / "vendor" / "mathjax" / "sre"


def leave_thebe_out(app):
    """Disconnect sphinx-thebe, which jupyter-book always loads: no page offers a live kernel, and
    its scripts, emitted twice, end in an error on the console."""
    for listeners in app.events.listeners.values():
        for listener in list(listeners):
            if listener.handler.__module__.startswith("sphinx_thebe"):
                app.disconnect(listener.id)


def leave_thebe_style_out(app, pagename, templatename, context, doctree):
    """Drop the style sheet that goes with it."""
    context["css_files"] = [
        sheet for sheet in context["css_files"] if "thebe" not in str(sheet.filename)
    ]


def leave_list_role_out(app, pagename, templatename, context, doctree):
    """Drop a role of docutils' bibliography: it says list, and its entries do not say item."""
    if "body" in context:
        context["body"] = context["body"].replace('<div role="list" class="', '<div class="')


def leave_tags_at_the_top(app, doctree):
    r"""Keep Sphinx from wrapping an equation with ``\tag`` in ``split``, where TeX allows no tag.

    It wraps every equation that has a line break, the rows of a matrix included.
    """
    for block in list(doctree.findall(nodes.math_block)):
        if r"\tag" in block.astext() and not block["nowrap"]:
            block["nowrap"] = True
            lines = (r"\begin{equation}", block.astext().strip(), r"\end{equation}")
            block.children = [nodes.Text("\n".join(lines))]


def write_speech(app, exception):
    """Wrap the speech engine and its rules as a script.

    A page opened from a folder may load a script from a file, but neither start a worker from one
    nor fetch one.
    """
    if exception or app.builder.format != "html":
        return
    bundle = {
        "worker": (SPEECH / "speech-worker.js").read_text(encoding="utf-8"),
        "maps": {
            name: (SPEECH / name).read_text(encoding="utf-8") for name in ("base.json", "en.json")
        },
    }
    script = Path(app.outdir) / "_static" / "math-speech.js"
    script.write_text(f"window.mathSpeech = {json.dumps(bundle)};\n", encoding="utf-8")


class Widget(Directive):
    """Put a widget into a page without code: its name, and in the body `key: value` of its state.

    In a lesson, a code cell shows the same widget, live in Jupyter.
    """

    required_arguments = 1
    has_content = True

    def run(self):
        (name,) = self.arguments
        if name not in widgets.ALL:
            raise self.error(f"no widget {name!r}; choose among {', '.join(widgets.ALL)}")
        state = yaml.safe_load("\n".join(self.content)) or {}
        return [nodes.raw("", widgets.ALL[name](**state).mount(), format="html")]


def leave_widget_state_out(app, pagename, templatename, context, doctree):
    """Drop the state that Jupyter's widget manager would start from: the pages have none."""
    scripts = NbMetadataCollector.get_js_files(app.env, pagename)
    for name in [name for name in scripts if name.startswith("ipywidgets_")]:
        del scripts[name]


def read_for_self_study(app, docname, source):
    """Turn the source of an assignment into its page: hidden tests and rubrics never reach it."""
    folder, _, name = docname.rpartition("/")
    if folder == "lessons/assignments":
        source[0] = sources.self_study(source[0], name.split("_")[0])


def write_widgets(app, exception):
    """Write the script that mounts widgets and, for each widget, the one that holds its text."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    (static / "widgets").mkdir(exist_ok=True)
    shutil.copy(widgets.base.FOLDER / "mount.js", static / "mount.js")
    for name, widget in widgets.ALL.items():
        script = widgets.base.registration(widget)
        (static / "widgets" / f"{name}.js").write_text(script, encoding="utf-8")


def setup(app):
    app.add_directive("widget", Widget)
    app.add_js_file("mount.js", defer="defer", priority=900)
    app.connect("builder-inited", leave_thebe_out, priority=1)
    app.connect("source-read", read_for_self_study)
    app.connect("doctree-read", leave_tags_at_the_top)
    app.connect("html-page-context", leave_thebe_style_out, priority=900)
    app.connect("html-page-context", leave_list_role_out)
    app.connect("html-page-context", leave_widget_state_out, priority=100)
    app.connect("build-finished", write_speech)
    app.connect("build-finished", write_widgets)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
