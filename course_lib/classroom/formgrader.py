"""What nbgrader's formgrader shows of a submission: text and pictures, and nothing that runs.

The formgrader puts a notebook's HTML into a page that may do on the instructor's machine whatever
the instructor may. The configuration of a course folder has it use `Plain` first.
"""

import base64
import binascii
import re

import nbformat
from nbconvert.preprocessors import Preprocessor

_PICTURES = ("image/png", "image/jpeg")
# The folds of a release's hints; after that, no "<" begins a tag.
_FOLDS = re.compile(r"</?(?:details|summary)>")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
# Links lead where a student wants; pictures that lie in the cell itself may stay.
_LINK = re.compile(r"\](?=\[|:|\((?:attachment:([^\s()]*)\))?)")


class Plain(Preprocessor):
    """Takes tags, links, scripts and drawings with a life of their own out of a notebook."""

    def preprocess_cell(self, cell, resources, index):
        """Return a cell that shows what is in it, and no more; `index` is not used."""
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _output(output))]
            return cell, resources
        attached = {name: _pictures(one) for name, one in cell.get("attachments", {}).items()}
        attached = {name: one for name, one in attached.items() if one}
        cell.source = plain(cell.source, attached)
        return nbformat.v4.new_markdown_cell(
            cell.source, id=cell.id, metadata=cell.metadata, attachments=attached
        ), resources


def plain(text, attached=()):
    """Return Markdown without tags and links, but for pictures named in `attached`.

    A space keeps what would have been one readable.
    """

    def link(match):
        return "]" if match[1] in attached else "] "

    return _LINK.sub(link, _TAG.sub("< ", _FOLDS.sub("", text)))


def _output(output):
    if output.output_type not in ("display_data", "execute_result"):
        return output
    words = {kind: text for kind, text in output.data.items() if kind == "text/plain"}
    output.data, output.metadata = words | _pictures(output.data), {}
    return output if output.data else None


def _pictures(data):
    """Return the pictures, base64, among data by type."""
    return {kind: data[kind] for kind in _PICTURES if kind in data and _is_base64(data[kind])}


def _is_base64(text):
    try:
        base64.b64decode("".join(text.split()), validate=True)
    except (AttributeError, ValueError, binascii.Error):
        return False
    return True
