"""The checks a reader runs: each kind of answer gets its own line, and none gives the answer."""

import math

import numpy as np
import pytest
import torch

from course_lib import checks


@pytest.mark.parametrize("answer", [1.7320508, 1.74, np.float32(1.732), torch.tensor(1.732)])
def test_right_answers_are_right(answer, capsys):
    assert checks.close(answer, lambda: math.sqrt(3)) is True
    assert capsys.readouterr().out.startswith("Right")


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (1.70, "too small"),
        (1.80, "too large"),
        (-1.732, "wrong sign"),
        (math.inf, "not finite"),
        (math.nan, "not finite"),
        ("3", "A number is asked for, not str"),
        ([1.73], "A number is asked for, not list"),
        (np.ones(2), "A number is asked for, not ndarray of shape (2,)"),
        (torch.ones(2), "A number is asked for, not Tensor of shape (2,)"),
        (3.0, "squared"),
    ],
)
def test_wrong_answers_say_what_is_off_and_not_the_answer(answer, line, capsys):
    assert checks.close(answer, math.sqrt(3), hints=[(3, "That is squared.")]) is False
    said = capsys.readouterr().out
    assert line in said and "1.73" not in said.replace(str(answer), "")


def test_no_answer_yet(capsys):
    assert checks.close(None, 1.0) is None
    assert "None" in capsys.readouterr().out
