"""The verdict on C31: whether what holds on Shapeset recurs on MNIST and CIFAR-10."""

from dataclasses import replace

import numpy as np

from course_lib import criteria, datasets, results, untrained, verdicts, verdicts_before

CLAIMS = ("C01", "C13", "C14", "C15")


def elsewhere_verdicts(signal, sigmoid, elsewhere, sigmoid_elsewhere):
    """Judge C31: whether the verdicts of C01 and C13 to C15 recur on MNIST and CIFAR-10.

    Read as: the same word on each of the two sets. The eight comparisons stand in the place of
    seeds: all eight the same is "reproduced", most of them "partly".

    Parameters
    ----------
    signal, sigmoid : the results on Shapeset, as `signal_verdicts` and `sigmoid_verdicts` take them
    elsewhere, sigmoid_elsewhere : the same on the other sets

    Returns
    -------
    dict, claim id to `Verdict`; empty where one of the four is missing
    """
    if any(result is None for result in (sigmoid, elsewhere, sigmoid_elsewhere)):
        return {}
    here = verdicts.sigmoid_verdicts(sigmoid) | verdicts_before.signal_verdicts(signal)
    recurs, said = {}, []
    for data in elsewhere["data"].tolist():
        name = datasets.TITLES[data]
        numbers = results.which(sigmoid_elsewhere, data=data)
        there = verdicts_before.signal_verdicts(untrained.one_set(elsewhere, data))
        there["C01"] = driven_to_zero(sigmoid_elsewhere, numbers)
        for claim in CLAIMS:
            recurs[f"{claim}, {name}"] = (there[claim].verdict == here[claim].verdict,)
        words = (f"{claim} {there[claim].verdict} ({there[claim].evidence})" for claim in CLAIMS)
        said.append(f"{name}: {'; '.join(words)}")
    own = ", ".join(f"{claim} {here[claim].verdict}" for claim in CLAIMS)
    whole = np.concatenate(list(recurs.values()))
    found = verdicts.judged({"whole": whole}, f"Shapeset: {own}. {'. '.join(said)}.")
    return {"C31": replace(found, parts=recurs, seeds=len(numbers))}


def driven_to_zero(history, numbers):
    """Return C01's verdict on some runs of recorded sigmoid trainings: those numbered."""
    update, mean = history["update"], history["activation_mean"][:, numbers]
    fall = criteria.escape(update, mean[:, :, -1]).fall
    return verdicts.judged(
        {"whole": criteria.top_layer_driven_to_zero(update, mean)},
        f"{verdicts.setting(history, numbers)}: below 0.1 from update {verdicts.span(fall)}; "
        f"lowest mean {verdicts.span(criteria.at_lowest_top(mean)[:, -1])}",
    )
