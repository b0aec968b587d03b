"""Checks that a reader runs on an answer of their own; each says what is off, not the answer.

`close` and `array` print a line and go on, for lessons. `agrees`, `number` and `require` stop a
cell with `NotYet`, for the tests of an assignment.
"""

import contextlib
import copy
import io
import linecache
import math
import operator
import re
import time
import warnings

import numpy as np
import torch

from course_lib import alarm, fresh

# Seconds that one call of a notebook's function may take, twice that on a busy machine (`alarm`):
# far more than any right answer does, and far less than the cell of a test has.
SECONDS = 10
# Words in which torch and NumPy say that two shapes do not fit, or one array no shape.
_SHAPES = ("cannot be multiplied", "size of tensor", "broadcast", "mismatch", "not aligned",
           "matmul", "expected size")  # fmt: skip
_RESHAPED = ("invalid for input of size", "cannot reshape", "shape is invalid")


class NotYet(AssertionError):
    """An answer is not right yet; a notebook shows this sentence alone, without a traceback."""

    def _render_traceback_(self):
        return [f"Not yet: {self}"]


class _Endless(NotYet):
    """A function took so long that it was stopped."""


def close(answer, expected, tolerance=0.01, hints=()):
    """Compare a number with the right one and print one line about it.

    Parameters
    ----------
    answer : number, or None while there is no answer yet
    expected : number, or callable without arguments that computes it
    tolerance : float, relative
    hints : sequence of (wrong answer, what leads to it)

    Returns
    -------
    bool or None
        None while there is no answer.
    """
    if answer is None:
        print("Put your answer in place of None and run this cell again.")
        return None
    try:
        if isinstance(answer, str):
            raise TypeError
        answer = float(answer)
    except (TypeError, ValueError, RuntimeError):  # the last by torch, for several numbers
        kind = type(answer).__name__
        print(f"A number is asked for, not {kind}{_shape(answer)}.")
        return False
    expected = float(expected() if callable(expected) else expected)
    if math.isclose(answer, expected, rel_tol=tolerance):
        print(f"Right: {answer:.4g}.")
        return True
    alike = [why for wrong, why in hints if math.isclose(answer, float(wrong), rel_tol=tolerance)]
    if alike:  # more than one mistake may lead to a number: nobody knows which
        print(f"Not yet: {answer:.4g}. {' Or: '.join(dict.fromkeys(alike))}")
        return False
    if not math.isfinite(answer):
        print(f"Not yet: {answer} is not finite.")
    elif answer * expected < 0:
        print(f"Not yet: {answer:.4g} has the wrong sign.")
    else:
        # Of a negative number "too small" could mean either.
        small, large = ("near 0", "far from 0") if expected < 0 else ("small", "large")
        print(f"Not yet: {answer:.4g} is too {large if abs(answer) > abs(expected) else small}.")
    return False


def array(answer, expected, what="the answer", tolerance=1e-6, batch=None):
    """Compare arrays, or lists of them, with the right ones and print one line about it.

    The arguments are those of `difference`. Returns True, False, or None without an answer.
    """
    if answer is None:
        print("Put your answer in place of None and run this cell again.")
        return None
    off = difference(answer, expected, what, tolerance, batch)
    print(f"Not yet: {off}" if off else f"Right: {what}.")
    return not off


def difference(answer, expected, what="the answer", tolerance=1e-6, batch=None):
    """Say in a sentence how an answer differs from the right one; an empty text if it does not.

    Parameters
    ----------
    answer : number, tensor, array, or a list or tuple of such
        Axes of length 1 more or less do not matter, nor does the precision, nor whether the
        numbers of one array come as a list.
    expected : the same
    what : str, or a sequence of one for each entry of `expected`
    tolerance : float, of the largest entry of `expected`
    batch : int, optional
        The number of examples, to recognise a sum that should be a mean.
    """
    names = what if not isinstance(what, str) else None
    if isinstance(expected, (list, tuple)):
        whole = "the answer" if names else what
        if _is_row(answer) and not any(np.ndim(entry) for entry in expected):
            answer = list(answer)
        if not isinstance(answer, (list, tuple)):
            return f"{whole} should be {len(expected)} things, not {_kind(answer)}."
        if len(answer) != len(expected):
            return f"{whole} should be {len(expected)} things, not {len(answer)}."
        names = names or [f"{what}[{k}]" for k in range(len(expected))]
        # From the last one on: what goes wrong in a backward pass goes on to the layers below.
        for name, mine, its in reversed(list(zip(names, answer, expected, strict=True))):
            if off := difference(mine, its, name, tolerance, batch):
                return off
        return ""
    if answer is None:
        return f"{what} {'are' if _many(what) else 'is'} None. Does the function end with `return`?"
    try:
        mine, its = _array(answer), _array(expected)
    except (TypeError, ValueError, RuntimeError):
        return _no_array(answer, what)
    if _squeezed(mine) != _squeezed(its):
        turned = mine.ndim == 2 and mine.T.shape == its.shape
        more = " That is the transpose." if turned else ""
        has = "have" if _many(what) else "has"
        return f"{what} {has} shape {mine.shape}, where {its.shape} is asked for.{more}"
    return _values_differ(mine.reshape(its.shape), its, what, tolerance, batch)


def _is_row(value):
    return isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim == 1


def _no_array(answer, what):
    """Say why an answer cannot be taken as one array of numbers."""
    if callable(answer):
        return f"{what} should hold numbers; it is a function. Are its brackets `()` missing?"
    if isinstance(answer, (list, tuple)):
        lengths = {len(row) for row in answer if hasattr(row, "__len__")}
        if len(lengths) > 1 and not any(isinstance(row, str) for row in answer):
            return f"{what} is {_kind(answer)} whose rows are not of one length."
        for entry in answer:
            if not isinstance(entry, (list, tuple)) and not _is_numbers(entry):
                return f"{what} should hold numbers; of its entries one is {_kind(entry)}."
    return f"{what} should hold numbers; it is {_kind(answer)}."


def _is_numbers(value):
    try:
        return _array(value) is not None
    except (TypeError, ValueError, RuntimeError):
        return False


def _values_differ(mine, its, what, tolerance, batch):
    """Say how two arrays of one shape differ, and of which common mistake that looks."""
    allowed = tolerance * np.abs(its).max(initial=0)
    are, they, their, have, hold = (
        ("are", "they", "their", "have", "hold")
        if _many(what)
        else ("is", "it", "its", "has", "holds")
    )
    if np.array_equal(mine, its):
        return ""
    if not np.isfinite(mine).all():
        odd = "nan" if np.isnan(mine).any() else "inf"
        return f"{what} {are} not finite: {they} {hold} {odd}."

    def like(other):
        return np.abs(other - its).max() <= allowed

    if like(mine):
        return ""
    if mine.ndim == 2 and mine.shape[0] == mine.shape[1] and like(mine.T):
        return f"{what} {are} the transpose of what {they} should be."
    if not mine.any():
        return f"{what} {are} 0 everywhere."
    ratio = (mine * its).sum() / max((its * its).sum(), np.finfo(float).tiny)
    if ratio and like(mine / ratio):
        if math.isclose(ratio, -1, rel_tol=1e-3):
            return f"{what} {have} the wrong sign everywhere, and {are} right but for that."
        if batch and math.isclose(ratio, batch, rel_tol=1e-3):
            return (
                f"{what} {are} {batch} times too large, and that is the number of examples: is it "
                "the sum over them that was taken, where the mean is asked for?"
            )
        if batch and math.isclose(ratio * batch, 1, rel_tol=1e-3):
            return (
                f"{what} {are} {batch} times too small, and that is the number of examples: was a "
                "mean taken where none is asked for, or twice?"
            )
        off = f"too {'large' if ratio > 1 else 'small'} by {100 * abs(ratio - 1):.2g} per cent"
        near = abs(ratio - 1) < 0.05
        ratio = f"{they} {are} {off if near else f'{ratio:.3g} times what {they} should be'}"
        return f"{what} {are} right but for a factor: {ratio}."
    right = np.abs(mine - its) <= allowed
    if mine.ndim and right.any():
        first = _entry(mine, its, ~right)
        return f"{what} {are} right in {right.sum()} of {their} {right.size} entries{first}."
    return f"{what} {have} the right shape, but the numbers are not right."


def _many(what):
    """Say whether a name such as "the mirror images of A" is a plural."""
    return bool(re.search(r"[^aious']s$", re.split(r" of | in |[,(\[]", what)[0].strip()))


def _entry(mine, its, wrong):
    """Say where a partly right array is wrong and, in a row of numbers, by which factor."""
    place = tuple(map(int, np.argwhere(wrong)[0]))
    if mine.ndim > 1:
        return f"; entry {list(place)}, counted from 0, is not"
    # The one beside a right one: in a chain of products it has one wrong factor, the others more.
    place = next(k for k in np.flatnonzero(wrong) if not wrong[max(k - 1, 0) : k + 2].all())
    whole = (its == np.round(its)).all()  # of class numbers, a ratio says nothing
    if whole or its[place] * mine[place] <= 0:
        return f"; entry {place}, counted from 0, is not"
    ratio = mine[place] / its[place]
    return f"; entry {place}, counted from 0, is {ratio:.3g} times what it should be"


def require(condition, sentence):
    """Raise `NotYet` with the sentence unless the condition holds."""
    if not condition:
        raise NotYet(sentence)


def number(name, namespace, expected, tolerance=0.01, hints=()):
    """Require a variable of a notebook to be a number close to `expected`.

    Parameters
    ----------
    name : str;  namespace : dict
        The variable, and the notebook's ``globals()``.
    expected, tolerance, hints : as in `close`

    Raises
    ------
    NotYet
        If it is missing, no number, or not right.
    """
    _there(name, namespace)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        right = close(namespace[name], expected, tolerance, hints)
    sentence = said.getvalue().strip().removeprefix("Not yet: ")
    require(right, f"{name}: {sentence}")
    print(f"{name} is right.")


def agrees(
    name,
    namespace,
    module,
    arguments,
    only=None,
    what=None,
    tolerance=1e-6,
    batch=None,
    stand_ins=(),
):
    """Require a function of a notebook to return what the library's of the same name does.

    Parameters
    ----------
    name : str;  namespace : dict
        The function, and the notebook's ``globals()``.
    module : module of course_lib
        Where its counterpart is found; that one runs in a fresh process.
    arguments : tuple, of what `fresh.call` takes;  only : int, optional
        Compare only this entry of the tuple that the function returns.
    what, tolerance, batch : as in `difference`
    stand_ins : sequence of str
        Functions that this one may call. If it fails with the notebook's own, it gets the library's
        in their place, so that an earlier mistake costs nothing here.

    Raises
    ------
    NotYet
        If it is missing, is wrong (`call`), or returns something else.
    """
    module = getattr(module, "__name__", module)
    expected = fresh.call(f"{module}.{name}", *arguments)
    tried = [namespace.get(one) for one in (name, *stand_ins)]

    def attempt():
        answer = call(name, namespace, arguments)
        if only is not None and _is_row(answer):
            answer = list(answer)
        if only is None:
            return difference(answer, expected, what or f"the result of {name}", tolerance, batch)
        if not isinstance(answer, (list, tuple)) or len(answer) != len(expected):
            returned = _kind(answer).replace("of type", "one of type")
            return f"{name} should return {len(expected)} things; it returned {returned}."
        kind = what or f"result {only + 1} of {name}"
        return difference(answer[only], expected[only], kind, tolerance, batch)

    try:
        off = _known_endless(tried) if stand_ins else ""
        off = off or attempt()
    except _Endless as stopped:
        off = str(stopped)
        _endless[:] = [time.monotonic(), off, *tried]
    except NotYet as stopped:
        off = str(stopped)
    if off and stand_ins:
        with _standing_in(namespace, module, stand_ins):
            off = attempt()
        if not off:
            *some, last = stand_ins
            others = f"{', '.join(some)} and {last}" if some else last
            print(f"{name} is right, given right versions of {others}: not all of yours are right.")
            return
    require(not off, off)
    compared = f": {what.rstrip(',')}" if isinstance(what, str) else ""
    print(f"{name} is right on this example{compared}.")


# The last attempt that had to be stopped: when, what was said of it, and its functions.
_endless = []


def _known_endless(functions):
    """Return what was said of these very functions if they had to be stopped just now, or "".

    A test calls them several times, and its cell has no time to wait for each.
    """
    when, said, *known = _endless or [-math.inf, ""]
    same = len(known) == len(functions) and all(map(operator.is_, known, functions))
    return said if same and time.monotonic() - when < 60 else ""


def call(name, namespace, arguments):
    """Return what a function of a notebook returns, given copies of the arguments.

    What it prints or warns of is dropped. Raises `NotYet`, in words, if there is no such function,
    or if it stops with an error, changes an argument in place, or takes more than `SECONDS`.
    """
    _there(name, namespace)
    function = namespace[name]
    require(callable(function), f"{name} should be a function; it is {_kind(function)}.")
    handed = copy.deepcopy(arguments)
    silent = contextlib.redirect_stdout(_Nowhere()), contextlib.redirect_stderr(_Nowhere())
    try:
        with silent[0], silent[1], warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with alarm.within(SECONDS):
                answer = function(*handed)
    except NotYet:
        raise
    except alarm.TooLong:
        raise _Endless(f"{name} took longer than {SECONDS} s: does a loop never end?") from None
    except NotImplementedError:
        raise NotYet(f"{name} is not written yet.") from None
    except (Exception, SystemExit) as error:
        raise NotYet(_stopped(name, namespace, error)) from None
    require(
        _unchanged(handed, arguments),
        f"{name} changes what it is given, in place: an operation such as `x -= 1` or `mul_`.",
    )
    return answer


class _StandInStopped(Exception):
    """A function of the library, in the place of the notebook's, stopped with an error."""


def _stopped(name, namespace, error):
    """Say with what a function stopped, in which line of the notebook, and what that may mean."""
    kind = "" if isinstance(error, _StandInStopped) else f"{type(error).__name__}: "
    first = (str(error).strip().splitlines() or [""])[0]
    said = f"{name} stopped with {kind}{first}"
    trace, frame = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_globals is namespace:
            frame = trace
        trace = trace.tb_next
    if frame:
        text = linecache.getline(frame.tb_frame.f_code.co_filename, frame.tb_lineno).strip()
        said += f" (line {frame.tb_lineno} of its cell{f': `{text[:80]}`' if text else ''})"
    if any(word in first for word in _RESHAPED):
        said += ". Is a size a number in your code, where it should come from what is given?"
    elif any(word in first for word in _SHAPES):
        said += ". Here all sizes differ: which axis meets which; is a transpose missing,"
        said += " or are two factors in the wrong order?"
    return said


def _there(name, namespace):
    require(name in namespace, f"there is no {name} yet: run the cell that defines it.")


@contextlib.contextmanager
def _standing_in(namespace, module, names):
    """Put the library's functions, answered by a fresh process, in the place of the notebook's."""
    own = {name: namespace[name] for name in names if name in namespace}

    def library(name):
        def stand_in(*given, **named):
            try:
                return fresh.call(f"{module}.{name}", *given, **named)
            except ValueError as error:
                said = str(error).removeprefix(f"{module}.{name}: ")
                raise _StandInStopped(f"a right {name}, called so: {said}") from None

        return stand_in

    try:
        namespace.update({name: library(name) for name in names})
        yield
    finally:
        for name in names:
            namespace.pop(name, None)
        namespace.update(own)


class _Nowhere(io.TextIOBase):
    """Takes text and keeps none: a function that prints megabytes costs no memory."""

    def writable(self):
        return True

    def write(self, text):
        return len(text)


def _unchanged(now, before):
    if isinstance(before, (list, tuple)):
        return len(now) == len(before) and all(map(_unchanged, now, before))
    if isinstance(before, (torch.Tensor, np.ndarray)):
        now, before = _array(now), _array(before)
        # A step there and back leaves a rounding error.
        return now.shape == before.shape and np.allclose(now, before, 1e-9, 1e-9, equal_nan=True)
    return True


def _array(value):
    """Return numbers as one array of floats; TypeError or ValueError if they are none."""
    if isinstance(value, (list, tuple)):
        entries = [float(entry) if isinstance(entry, bool) else entry for entry in value]
        return np.array([_array(entry) for entry in entries], dtype=float)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() else value
    if value is None or isinstance(value, (str, bool)) or np.iscomplexobj(value):
        raise TypeError
    return np.asarray(value).astype(float)


def _squeezed(values):
    return tuple(n for n in values.shape if n != 1)


def _kind(value):
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"of type {type(value).__name__}{_shape(value)}"


def _shape(answer):
    return f" of shape {tuple(answer.shape)}" if hasattr(answer, "shape") else ""
