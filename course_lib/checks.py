"""Checks that a reader runs on an answer of their own; each says what is off, not the answer."""

import math


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
    for wrong, why in hints:
        if math.isclose(answer, float(wrong), rel_tol=tolerance):
            print(f"Not yet: {answer:.4g}. {why}")
            return False
    if not math.isfinite(answer):
        print(f"Not yet: {answer} is not finite.")
    elif answer * expected < 0:
        print(f"Not yet: {answer:.4g} has the wrong sign.")
    else:
        print(
            f"Not yet: {answer:.4g} is too {'large' if abs(answer) > abs(expected) else 'small'}."
        )
    return False


def _shape(answer):
    return f" of shape {tuple(answer.shape)}" if hasattr(answer, "shape") else ""
