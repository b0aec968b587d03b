"""What a submission has attached comes along as far as it is well formed."""

import json

import nbformat
import pytest

from course_lib.classroom import mend, sources


@pytest.fixture(scope="module")
def released():
    return sources.release(sources.read(sources.find("ps2")), "a class")


def written(released, attachments, folder):
    notebook = nbformat.from_dict(released)
    (answer,) = (cell for cell in notebook.cells if cell.id == "ps2-wrong-gradients")
    answer.source, answer["attachments"] = "![see](attachment:a.png)", attachments
    (folder / "ps2.ipynb").write_text(json.dumps(notebook))
    found = mend.choose(folder, "ps2", released)
    (answer,) = (cell for cell in found.notebook.cells if cell.id == "ps2-wrong-gradients")
    assert answer.source == "![see](attachment:a.png)"
    return answer.get("attachments")


def test_pictures_of_an_answer_stay_with_it(released, tmp_path):
    picture = {"a.png": {"image/png": "iVBOR"}}
    assert written(released, picture, tmp_path) == picture


@pytest.mark.parametrize(
    "odd", [3, [1], "a", {"a.png": 3}, {"a.png": {"image/png": [1]}}, {"a.png": {}}]
)
def test_what_is_no_attachment_is_left_out(released, tmp_path, odd):
    assert not written(released, odd, tmp_path)
