"""The checks a reader runs: each kind of answer gets its own line, and none gives the answer."""

import linecache
import math
import sys
import warnings

import numpy as np
import pytest
import torch

from course_lib import activations, checks, theory


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


@pytest.mark.parametrize(("answer", "line"), [(-1.7, "too near 0"), (-1.8, "too far from 0")])
def test_a_negative_number_is_too_near_0_or_too_far_from_it(answer, line, capsys):
    assert checks.close(answer, -math.sqrt(3)) is False
    assert capsys.readouterr().out == f"Not yet: {answer} is {line}.\n"


def test_a_number_that_two_mistakes_lead_to_is_said_to_be_either(capsys):
    hints = [(2.001, "That is doubled."), (5, "That is a five."), (2, "That is a sum.")]
    assert checks.close(2, 1, hints=hints) is False
    assert capsys.readouterr().out == "Not yet: 2. That is doubled. Or: That is a sum.\n"


def test_no_answer_yet(capsys):
    assert checks.close(None, 1.0) is None
    assert "None" in capsys.readouterr().out


# ---- arrays

A = torch.tensor([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]], dtype=torch.float64)
SQUARE = torch.tensor([[1.0, 2.0], [5.0, 3.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    "answer", [A, A.numpy(), A.float(), A[None], A.clone().requires_grad_(), A * (1 + 1e-8)]
)
def test_right_arrays_are_right(answer):
    assert checks.difference(answer, A) == ""


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (A.tolist(), A),
        ([A[0], A[1].numpy()], A),
        ([list(A[0]), tuple(A[1])], A.numpy()),
        (3, 3.0),
        (3.0, torch.tensor(3.0)),
        (torch.tensor([3.0]), 3),
        (np.float32(3), 3),
        ([1, 2.0, torch.tensor(3)], torch.tensor([1.0, 2.0, 3.0])),
        (np.array([1.0, 2.0]), [1, 2]),
        (torch.tensor([1.0, 2.0], dtype=torch.bfloat16), (1.0, 2.0)),
        ([1, 2], (np.float64(1), 2)),
        ([A.tolist(), -A], (A, -A)),
    ],
)
def test_lists_and_numbers_are_as_good_as_arrays(answer, expected):
    assert checks.difference(answer, expected) == ""


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (None, A, "Does the function end with"),
        ("word", A, "should hold numbers"),
        (A.T.tolist(), A, "has shape (3, 2), where (2, 3) is asked for. That is the transpose."),
        ([[1.0, 2.0], [3.0]], A, "it is a list of 2 whose rows are not of one length"),
        ([1.0, "2"], A, "it should hold numbers; of its entries one is of type str"),
        ([[1.0, 2.0], None], A, "of its entries one is None"),
        ({"a": 1.0}, A, "should hold numbers; it is of type dict"),
        (A.sum, A, "it is a function. Are its brackets `()` missing?"),
        (A + 1j, A, "should hold numbers; it is of type Tensor of shape (2, 3)"),
        (True, 1.0, "should hold numbers; it is of type bool"),
        ([3.0, 4.0], 4.0, "has shape (2,), where () is asked for"),
        (3, 4, "it is 0.75 times"),
        (np.array([1.0, 2.0, 4.0]), [1.0, 2.0, 3.0], "it[2] is right but for a factor"),
        (np.array([1.0, 2.0]), [1.0, 2.0, 3.0], "should be 3 things, not 2"),
        (A.T, A, "has shape (3, 2), where (2, 3) is asked for. That is the transpose."),
        (A[:, :2], A, "has shape (2, 2), where (2, 3) is asked for."),
        (SQUARE.T, SQUARE, "is the transpose of what it should be"),
        (A * math.inf, A, "it holds inf"),
        (A * math.nan, A, "it holds nan"),
        (0 * A, A, "is 0 everywhere"),
        (-A, A, "wrong sign everywhere"),
        (16 * A, A, "16 times too large, and that is the number of examples"),
        (A / 16, A, "16 times too small"),
        (3 * A, A, "it is 3 times what it should be"),
        (-16 * A, A, "it is -16 times"),
        (A * torch.tensor([1, 1, 1.2]), A, "right in 4 of its 6 entries"),
        (A + 1, A, "the numbers are not right"),
        (A * (1 + 1e-5), A, "right but for a factor: it is too large by 0.001 per cent"),
        (A, [A, A], "should be 2 things, not of type Tensor of shape (2, 3)"),
        ([A], [A, A], "should be 2 things, not 1"),
        ([A, -A], [A, A], "it[1] has the wrong sign"),
        ([-A, 0 * A], [A, A], "it[1] is 0"),
        (torch.tensor(3.0), torch.tensor(4.0), "it is 0.75 times"),
    ],
)
def test_wrong_arrays_are_explained(answer, expected, words):
    assert words in checks.difference(answer, expected, "it", batch=16)


def test_an_explanation_holds_no_right_number():
    for answer in (A + 1, 3 * A, A.T, A[:1], -A, 0 * A):
        said = checks.difference(answer, A)
        assert not any(f"{value:g}" in said.split() for value in (-2.0, 0.5, 4.0))


def test_array_prints_and_goes_on(capsys):
    assert checks.array(A, A, "the gradient") is True
    assert checks.array(-A, A, "the gradient") is False
    assert checks.array(None, A) is None
    right, wrong, none = capsys.readouterr().out.splitlines()
    assert right == "Right: the gradient." and wrong.startswith("Not yet: the gradient has the")
    assert "None" in none


# ---- functions and variables of a notebook


def bound(scheme, fan_in, fan_out):
    return theory.BOUNDS[scheme](fan_in, fan_out)


GIVEN = ("normalized", 3, 4)


def agrees(function, **options):
    from course_lib import init

    checks.agrees("bound", {"bound": function}, init, GIVEN, **options)


def test_a_function_that_agrees_passes(capsys):
    agrees(bound)
    assert capsys.readouterr().out == "bound is right on this example.\n"
    agrees(bound, what="the bound of W^0")
    assert capsys.readouterr().out == "bound is right on this example: the bound of W^0.\n"


def stops(*given):
    raise KeyError("no such thing")


def misfit(*given):
    return torch.ones(2, 3) @ torch.ones(2, 3)


def unwritten(*given):
    raise NotImplementedError


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda *given: 3.0, "right but for a factor"),
        (lambda *given: None, "Does the function end with"),
        (3, "should be a function; it is of type int"),
        (stops, "stopped with KeyError: 'no such thing'"),
        (misfit, "Here all sizes differ"),
        (unwritten, "bound is not written yet"),
        (lambda: 3, "stopped with TypeError"),
        (lambda *given: sys.exit(), "stopped with SystemExit"),
    ],
)
def test_a_function_that_does_not_is_explained(function, words):
    with pytest.raises(checks.NotYet, match=words):
        agrees(function)


def test_an_error_names_the_line_of_the_notebook():
    """Of the innermost function of the notebook, not of the library below it."""
    cell = """
def inner(x):
    y = x.reshape(
        7)
    return y

def outer(x):
    return inner(x @ x.T)
"""
    notebook = {}
    linecache.cache["a cell"] = (len(cell), None, cell.splitlines(True), "a cell")
    exec(compile(cell, "a cell", "exec"), notebook)
    with pytest.raises(checks.NotYet) as error:
        checks.call("outer", notebook, (A,))
    said = "outer stopped with RuntimeError: shape '[7]' is invalid for input of size 4 "
    assert str(error.value).startswith(f"{said}(line 3 of its cell: `y = x.reshape(`)")
    assert "Is a size a number in your code" in str(error.value)
    with pytest.raises(checks.NotYet, match=r"\(line 8 of its cell: `return inner"):
        checks.call("outer", notebook, (3,))


def test_a_wrong_entry_is_named():
    """By its place; in a row of numbers that are not whole by its ratio, too."""
    right = torch.tensor([0.5, 0.25, 0.125])
    off = checks.difference(right * torch.tensor([1, 2, 1]), right, "the nine shares of A")
    assert off == (
        "the nine shares of A are right in 2 of their 3 entries; entry 1, counted from 0, is 2 "
        "times what it should be."
    )
    off = checks.difference(right * torch.tensor([9, 3, 1]), right, "the chain")
    assert "; entry 1, counted from 0, is 3 times" in off, "the step beside a right one"
    off = checks.difference(right * torch.tensor([1, 3, 9]), right, "the chain")
    assert "; entry 1, counted from 0, is 3 times" in off
    off = checks.difference([1, 2, 5], [1, 2, 3], "the class")
    assert off == "the class[2] is right but for a factor: it is 1.67 times what it should be."
    off = checks.difference([1, 2, 5], torch.tensor([1, 2, 3]), "the class")
    assert off == "the class is right in 2 of its 3 entries; entry 2, counted from 0, is not."
    off = checks.difference([[True, True], [False, True]], torch.eye(2), "the mask")
    assert off.endswith("3 of its 4 entries; entry [0, 1], counted from 0, is not.")


@pytest.mark.parametrize(
    ("what", "plural"),
    [
        ("the mirror images", True),
        ("the class of each image", False),
        ("the entries of the bias", True),
        ("the bias", False),
        ("E[(z^i)^2], i = 0 .. d,", False),
        ("the nine probabilities", True),
        ("dC/dW", False),
    ],
)
def test_words_agree_with_what_is_spoken_of(what, plural):
    off = checks.difference(A * 0, A, what)
    assert off == f"{what} {'are' if plural else 'is'} 0 everywhere."
    off = checks.difference(A[:1], A, what)
    assert off.startswith(f"{what} {'have' if plural else 'has'} shape (1, 3), where (2, 3)")
    assert checks.difference(None, A, what).startswith(f"{what} {'are' if plural else 'is'} None.")


def test_two_numbers_may_come_as_a_tensor():
    from course_lib.classroom.references import ps1

    values = torch.arange(12.0).view(3, 4)
    for pair in (torch.tensor([5.5, 0.0]), np.array([5.5, 0.0]), [5.5, 0.0]):
        checks.agrees("estimate", {"estimate": lambda x, y=pair: y}, ps1, (values,), only=0)
    with pytest.raises(checks.NotYet, match="2 things; it returned one of type float"):
        checks.agrees("estimate", {"estimate": lambda x: 5.5}, ps1, (values,), only=0)


def test_a_stand_in_that_stops_is_no_riddle():
    """It says what was called, and not where the library keeps it."""
    from course_lib.classroom.references import ps2

    net = ps2.example({"sizes": [5, 4, 3], "activation": "tanh", "batch": 6, "seed": 1})
    given = (net.weights, net.activation, net.z, net.logits, net.labels)
    notebook = {}
    exec(BACKWARD.replace("weights[1]", "weights[0]"), notebook)
    with pytest.raises(checks.NotYet) as error:
        checks.agrees("backward", notebook, ps2, given, stand_ins=STAND_INS)
    said = "backward stopped with a right step_back, called so: RuntimeError: mat1 and mat2 shapes"
    assert str(error.value).startswith(said) and "(line 4 of its cell" in str(error.value)
    assert "references" not in str(error.value) and "a transpose missing" in str(error.value)


def test_a_function_that_is_missing():
    with pytest.raises(checks.NotYet, match="there is no f yet: run the cell"):
        checks.call("f", {}, ())


def test_what_a_function_prints_or_warns_of_is_dropped(capsys):
    """A line on the error stream would cost the points of a cell."""

    def loud(x):
        print("x" * 10_000_000)
        print("x", file=sys.stderr)
        warnings.warn("old", stacklevel=1)
        return x

    assert checks.call("f", {"f": loud}, (3,)) == 3
    assert capsys.readouterr() == ("", "")


def test_arguments_are_copies_and_must_stay_as_they_are():
    given = (A.clone(), [A.clone()], activations.get("tanh"))

    def doubles(x, y, f):
        y[0] *= 2

    def there_and_back(x, y, f):
        x += 0.1
        x -= 0.1

    for changes in (doubles, lambda x, y, f: y.pop(), lambda x, y, f: x.zero_()):
        with pytest.raises(checks.NotYet, match="in place"):
            checks.call("f", {"f": changes}, given)
    checks.call("f", {"f": there_and_back}, given)
    assert torch.equal(given[0], A) and torch.equal(given[1][0], A)


BACKWARD = """
def backward(weights, activation, z, logits, labels):
    top = output_delta(logits, labels)
    deltas = [step_back(top, weights[1], z[1], activation), top]
    return deltas, *zip(*(weight_gradients(one, delta) for one, delta in zip(z, deltas)))
"""
STAND_INS = ("output_delta", "step_back", "weight_gradients")


def test_stand_ins_are_put_in_where_the_own_function_fails_and_taken_out_again(capsys):
    from course_lib.classroom.references import ps2

    net = ps2.example({"sizes": [5, 4, 3], "activation": "tanh", "batch": 6, "seed": 1})
    given = (net.weights, net.activation, net.z, net.logits, net.labels)
    notebook = {"step_back": stops, "weight_gradients": ps2.weight_gradients}
    exec(BACKWARD, notebook)
    with pytest.raises(checks.NotYet, match="output_delta"):
        checks.agrees("backward", notebook, ps2, given)
    checks.agrees("backward", notebook, ps2, given, stand_ins=STAND_INS)
    assert "given right versions of output_delta" in capsys.readouterr().out
    assert notebook["step_back"] is stops and "output_delta" not in notebook
    notebook |= {"output_delta": ps2.output_delta, "step_back": ps2.step_back}
    checks.agrees("backward", notebook, ps2, given, stand_ins=STAND_INS)
    assert capsys.readouterr().out == "backward is right on this example.\n"
    with pytest.raises(checks.NotYet, match="should return 3 things"):
        checks.agrees("backward", notebook | {"backward": lambda *x: 1}, ps2, given, only=0)


@pytest.mark.parametrize(
    ("notebook", "words"),
    [
        ({}, "there is no n yet"),
        ({"n": None}, "n: Put your answer"),
        ({"n": 7}, "n: 7 is too large"),
    ]
    + [({"n": "3"}, "n: A number is asked for"), ({"n": 6}, "n: 6. That is twice.")],
)
def test_a_wrong_number_is_explained(notebook, words):
    with pytest.raises(checks.NotYet, match=words):
        checks.number("n", notebook, 3, hints=[(6, "That is twice.")])


def test_a_right_number_passes(capsys):
    checks.number("n", {"n": torch.tensor(3.001)}, 3)
    assert capsys.readouterr().out == "n is right.\n"


def test_a_notebook_shows_the_sentence_alone():
    with pytest.raises(AssertionError) as error:
        checks.require(False, "the sign is wrong.")
    assert error.value._render_traceback_() == ["Not yet: the sign is wrong."]
    checks.require(True, "nothing")


# ---- functions that do not end


def endless(*given):
    while True:
        pass


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(checks, "SECONDS", 0.2)
    monkeypatch.setattr(checks, "_endless", [])


def test_a_function_that_does_not_end_is_stopped_in_words(hurried):
    with pytest.raises(checks.NotYet, match="f took longer than 0.2 s: does a loop never end?"):
        checks.call("f", {"f": endless}, ())


def test_an_endless_part_costs_only_itself_and_is_waited_for_once(hurried, capsys):
    from course_lib.classroom.references import ps2

    net = ps2.example({"sizes": [5, 4, 3], "activation": "tanh", "batch": 6, "seed": 1})
    given, waited = (net.weights, net.activation, net.z, net.logits, net.labels), []

    def step_back(*given):
        waited.append(given)
        endless()

    notebook = {"step_back": step_back}
    exec(BACKWARD, notebook)
    notebook |= {name: getattr(ps2, name) for name in ("output_delta", "weight_gradients")}
    for _ in range(3):
        checks.agrees("backward", notebook, ps2, given, stand_ins=STAND_INS)
    assert len(waited) == 1 and capsys.readouterr().out.count("given right versions") == 3
    notebook["step_back"] = ps2.step_back
    checks.agrees("backward", notebook, ps2, given, stand_ins=STAND_INS)
    assert capsys.readouterr().out == "backward is right on this example.\n"
    with pytest.raises(checks.NotYet, match="backward took longer"):
        broken = notebook | {"backward": endless}
        checks.agrees("backward", broken, ps2, given, stand_ins=STAND_INS)
