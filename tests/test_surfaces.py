"""Cost surfaces of small networks: against autograd, finite differences and the training's code."""

import numpy as np
import pytest
import torch

from course_lib import backprop, claims, criteria_before, models, results, surfaces, verdicts_before
from course_lib.training import History

COSTS = list(backprop.COSTS)
SIZES = [(1, 1, 1), (3, 2, 1), (10, 10, 3)]
rng = np.random.default_rng(0)
PLACES = rng.uniform(-8, 8, (2, 5))
SMALL = surfaces.Draws(networks=2, points=6, cells=8)


def plain(draw, first, second, cost):
    """The mean cost, written out by torch's own functions: two scalars with gradients."""
    inputs, labels, (below, above) = draw
    below, above = below.clone(), above.clone()
    below[0, 0], above[0, -1] = first, second
    p = (torch.tanh(inputs @ below) @ above).softmax(-1)
    if cost == "cross_entropy":
        return torch.nn.functional.nll_loss(p.log(), labels)
    return ((p - torch.nn.functional.one_hot(labels, p.shape[-1])) ** 2).sum(-1).mean() / 2


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("sizes", SIZES)
def test_cost_and_gradient_against_autograd(sizes, cost):
    draw = surfaces.draw(sizes, seed=3, points=20)
    values, gradients = surfaces.at(draw, *PLACES, cost)
    for place, value, gradient in zip(PLACES.T, values, gradients, strict=True):
        weights = [torch.tensor(w, requires_grad=True) for w in place]
        expected = plain(draw, *weights, cost)
        assert value == pytest.approx(expected.item(), rel=1e-10)
        slopes = [float(slope) for slope in torch.autograd.grad(expected, weights)]
        assert gradient == pytest.approx(slopes, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("cost", COSTS)
def test_gradient_against_finite_differences(cost):
    draw, step = surfaces.draw((2, 3, 4), seed=1), 1e-5
    _, gradient = surfaces.at(draw, *PLACES, cost)
    for weight in (0, 1):
        shift = np.zeros((2, 1))
        shift[weight] = step
        high, _ = surfaces.at(draw, *(PLACES + shift), cost)
        low, _ = surfaces.at(draw, *(PLACES - shift), cost)
        assert gradient[:, weight] == pytest.approx((high - low) / (2 * step), abs=1e-8)


@pytest.mark.parametrize("cost", COSTS)
def test_gradient_is_that_of_the_code_that_trains(cost):
    sizes = (4, 3, 5)
    draw = surfaces.draw(sizes, seed=2)
    model = models.MLP(sizes, "tanh", dtype=torch.float64)
    for weight, value in zip(model.weights, draw.weights, strict=True):
        weight[0] = value
    found = backprop.gradients(model, model(draw.inputs), draw.labels, cost)
    value, gradient = surfaces.at(draw, draw.weights[0][:1, 0], draw.weights[1][:1, -1], cost)
    own = [float(found.weights[0][0, 0, 0]), float(found.weights[1][0, 0, -1])]
    assert value[0] == pytest.approx(float(found.cost), rel=1e-12)
    assert gradient[0] == pytest.approx(own, rel=1e-10)


def test_one_output_unit_is_a_sigmoid_and_both_costs_are_of_its_output():
    draw = surfaces.draw(seed=4, points=30)
    x, t = draw.inputs[:, 0].numpy(), draw.labels.numpy()
    p = 1 / (1 + np.exp(-2.5 * np.tanh(-1.5 * x)))
    value, _ = surfaces.at(draw, [-1.5], [2.5], "cross_entropy")
    assert value[0] == pytest.approx(-np.log(np.where(t, p, 1 - p)).mean())
    value, _ = surfaces.at(draw, [-1.5], [2.5], "quadratic")
    assert value[0] == pytest.approx(((p - t) ** 2).mean())


def test_inputs_are_normal_and_targets_have_nothing_to_do_with_them():
    """With n = 100,000 a mean, a variance or a correlation is off by 4/sqrt(n) = .013 at most."""
    draw = surfaces.draw(seed=0, points=100_000)
    x, t = draw.inputs[:, 0].numpy(), draw.labels.numpy()
    assert abs(x.mean()) < 0.013 and abs(x.var() - 1) < 2 * 0.013
    assert abs(t.mean() - 0.5) < 0.013 and abs(np.corrcoef(x, t)[0, 1]) < 0.013
    three = surfaces.draw((10, 10, 3), points=90_000).labels.numpy()
    assert (abs(np.bincount(three) - 30_000) < 600).all()


def test_a_seed_is_a_draw():
    one, again, other = (surfaces.draw((10, 10, 3), seed) for seed in (1, 1, 2))
    assert torch.equal(one.inputs, again.inputs) and torch.equal(one.labels, again.labels)
    assert all(map(torch.equal, one.weights, again.weights))
    assert not torch.equal(one.inputs, other.inputs)
    assert one.weights[0].abs().max() <= 10**-0.5, "standard weights, Eq. (1)"


@pytest.mark.parametrize("sizes", [(1, 1), (1, 0, 1), (1, 1.5, 1)])
def test_wrong_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="three whole numbers of at least 1"):
        surfaces.draw(sizes)


def test_an_unknown_cost_is_refused():
    with pytest.raises(ValueError, match="unknown cost 'hinge'"):
        surfaces.at(surfaces.draw(), [0], [0], "hinge")


def test_a_surface_is_at_the_centres_of_its_cells():
    assert surfaces.centres(4).tolist() == [-6, -2, 2, 6]
    draw = surfaces.draw(seed=1, points=10)
    cost, length = surfaces.surface(draw, "quadratic", cells=4)
    value, gradient = surfaces.at(draw, [-6], [2], "quadratic")
    assert cost.shape == length.shape == (4, 4)
    assert cost[0, 2] == value[0] and length[0, 2] == pytest.approx(np.linalg.norm(gradient))


def test_flat_is_below_a_share_of_the_longest():
    length = np.array([[0.0, 1.0], [0.049, 0.05]])
    assert surfaces.flat(length).tolist() == [[True, False], [True, False]]
    assert surfaces.flat(length, 0.01).tolist() == [[True, False], [False, False]]
    assert surfaces.flat(1000 * length).tolist() == surfaces.flat(length).tolist()


def test_descent_takes_the_steps_of_gradient_descent():
    draw = surfaces.draw(seed=1)
    way, cost = surfaces.descend(draw, [1, -3], [2.0, 0.5], "cross_entropy", rate=0.1, steps=2)
    assert way.shape == (3, 2, 2) and way[0].tolist() == [[1, 2], [-3, 0.5]]
    _, gradient = surfaces.at(draw, [-3], [0.5], "cross_entropy")
    assert way[1, 1] == pytest.approx(way[0, 1] - 0.1 * gradient[0])
    assert cost.shape == (3, 2) and (np.diff(cost, axis=0) < 0).all()
    assert cost[2, 1] == pytest.approx(surfaces.at(draw, *way[2, 1:].T, "cross_entropy")[0][0])


def test_what_is_recorded_is_what_the_surfaces_are():
    history = surfaces.cost_surfaces(SMALL, progress=False)
    for name, array in history.arrays.items():
        axes = history.axes[name]
        lengths = {"first": 4, "second": 4}
        assert array.shape == tuple(lengths.get(a) or len(history[a]) for a in axes), name
    assert history.config == {"networks": 2, "points": 6, "cells": 8}
    draw = surfaces.draw((10, 10, 3), 1, points=6)
    _, length = surfaces.surface(draw, "quadratic", 8)
    at = history["sizes"].tolist().index("10-10-3"), history["cost"].tolist().index("quadratic"), 1
    assert history["share"][at].tolist() == [
        (length < level * length.max()).mean() for level in history["level"]
    ]
    assert history["longest"][at] == length.max()
    value, length = surfaces.surface(surfaces.draw(points=6), "quadratic", 4)
    assert np.allclose(history["value"][at[1]], value) and np.allclose(
        history["length"][at[1]], length
    )
    assert history["share_coarse"][0, at[1], 0, 2] == surfaces.flat(length).mean()


# ---------------------------------------------------------------- C11
def test_c11_compares_draw_by_draw():
    found = criteria_before.plateaus([0.1, 0.1, 0.1, 0.0, 0.0], [0.2, 0.19, 0.5, 0.1, 0.0])
    assert found.tolist() == [True, False, True, True, False]
    assert criteria_before.plateaus([0.1], [0.25], factor=3).tolist() == [False]


@pytest.mark.parametrize("shares", [[[0.1]], [1.1], [-0.1], [np.nan]])
def test_c11_needs_shares(shares):
    with pytest.raises(ValueError, match="shares of an area"):
        criteria_before.plateaus(shares, [0.5])


def recorded(cross_entropy, quadratic, draws=20):
    """Shares of the area, alike in all draws, in an order other than the library's."""
    share = np.full((2, 2, draws, 3), 0.9)  # at the levels that do not count
    share[0, :, :, 1] = [[0.08], [0.07]]
    share[1, 0, :, 1], share[1, 1, :, 1] = quadratic, cross_entropy
    arrays = {
        "share": share,
        "sizes": np.array(["10-10-3", "1-1-1"]),
        "cost": np.array(["quadratic", "cross_entropy"]),
        "level": np.array([0.01, 0.05, 0.1]),
    }
    return History(arrays, {}, {"points": 100})


def test_c11_of_surfaces_as_the_paper_says():
    verdict = verdicts_before.surface_verdicts(recorded(0.1, 0.4))["C11"]
    assert verdict.verdict == "reproduced" and verdict.seeds == 20 and not verdict.provisional
    assert verdict.evidence == (
        "1-1-1 network, 100 examples, 20 draws: 10.0 % (10.0 to 10.0) of the area with the "
        "cross-entropy, 40.0 % (40.0 to 40.0) with the quadratic cost, 4 times as much "
        "(larger networks: 10-10-3 7.0 % (7.0 to 7.0) and 8.0 % (8.0 to 8.0))"
    )


def test_c11_in_some_draws_and_in_none():
    some = np.where(np.arange(20) < 15, 0.4, 0.1)
    assert verdicts_before.surface_verdicts(recorded(0.1, some))["C11"].verdict == "partly"
    assert verdicts_before.surface_verdicts(recorded(0.1, 0.15))["C11"].verdict == "not reproduced"
    assert verdicts_before.surface_verdicts(recorded(0.1, 0.4, draws=5))["C11"].provisional


# ---------------------------------------------------------------- what is shipped
def test_c11_as_it_is_shipped():
    """Every draw, at every level, and on a grid half as fine: nothing hangs on the 5 %."""
    stored = results.load("cost_surfaces", networks=20, points=100, cells=200)
    verdict = {claim.id: found for claim, found in claims.ledger()}["C11"]
    assert verdict.verdict == "reproduced" and verdict.seeds == 20 and all(verdict.parts["whole"])
    small = stored["sizes"].tolist().index("1-1-1")
    at = [stored["cost"].tolist().index(cost) for cost in ("cross_entropy", "quadratic")]
    for name in ("share", "share_coarse"):
        one, other = stored[name][small, at]
        for level in range(len(stored["level"])):
            assert criteria_before.plateaus(one[:, level], other[:, level]).all()
    fine, coarse = (stored[name][small, ..., 2].mean(1) for name in ("share", "share_coarse"))
    assert stored["level"][2] == 0.05 and (abs(coarse / fine - 1) < 0.03).all()


def test_the_present_code_makes_the_shipped_surfaces():
    stored = results.load("cost_surfaces")
    sizes, cost = (
        stored["sizes"].tolist().index("10-10-3"),
        stored["cost"].tolist().index("quadratic"),
    )
    _, length = surfaces.surface(surfaces.draw((10, 10, 3), 4), "quadratic", 100)
    level = stored["level"].tolist().index(0.05)
    kept = stored["share_coarse"][sizes, cost, :, level]
    assert abs(surfaces.flat(length).mean() - kept[4]) < 2e-4, "two cells of 10,000 at most"
    assert abs(kept[4] - kept[5]) > 2e-3, "another draw would not pass"
    value, _ = surfaces.at(surfaces.draw(), stored["weight"], stored["weight"], "quadratic")
    assert np.allclose(np.diag(stored["value"][cost]), value, rtol=1e-5)
