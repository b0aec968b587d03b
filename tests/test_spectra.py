"""The laws of singular values against sampled matrices, known moments and each other."""

import math

import numpy as np
import pytest

from course_lib import spectra

SHAPES = [(300, 300), (300, 200), (200, 300)]
KINDS = ("ones", "spread", "relu", "two")


def slope_squares(kind, count):
    g = np.random.default_rng(1).normal(size=count)
    return {
        "ones": np.ones(count),
        "spread": (1 - np.tanh(0.6 * g) ** 2) ** 2,
        "relu": (g > 0).astype(float),
        "two": np.where(g > 0, 1.0, 0.04),
    }[kind]


def singular_values(fan_in, fan_out, tau, matrices, seed=0):
    """Singular values of W D for several W of entry variance 1/fan_in: (matrices, min)."""
    w = np.random.default_rng(seed).normal(0, fan_in**-0.5, (matrices, fan_in, fan_out))
    return np.linalg.svd(w * np.sqrt(tau), compute_uv=False)


def law_of(fan_in, fan_out, kind):
    return spectra.SingularValueLaw(fan_in, fan_out, 1 / fan_in, slope_squares(kind, fan_out))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_law_holds_on_sampled_matrices(shape, kind):
    """The sum over a spectrum scatters by order 1 at any size, so a mean over n by order 1/n.

    So does the share below a point, up to a logarithm of n; the edge scatters by n^(-2/3). Four
    matrices each, and a factor of 3 or 4 on top.
    """
    s, n = singular_values(*shape, slope_squares(kind, shape[1]), matrices=4), min(shape)
    found = law_of(*shape, kind)
    assert s.mean() == pytest.approx(found.mean, abs=3 / n)
    assert math.sqrt((s**2).mean()) == pytest.approx(found.rms, abs=4 / n)
    assert (s < 1e-8).mean() == pytest.approx(found.zeros, abs=1e-9)
    points = found.support[1] * np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    below = (s.ravel()[:, None] < points).mean(0)
    assert below == pytest.approx(found.cumulative(points), abs=4 / n)
    assert found.cumulative(found.quantile(0.9)) == pytest.approx(0.9)
    assert s[:, 0].mean() == pytest.approx(found.support[1], abs=4 * n ** (-2 / 3))
    if found.zeros == 0:
        # log of the smallest of them: the mean of logs scatters by a few over n.
        assert math.exp(np.log(s).mean()) == pytest.approx(found.geometric_mean, abs=4 / n)
        assert found.support[0] <= s.min() + 4 * n ** (-2 / 3)


@pytest.mark.parametrize("wrong", [0.9, 1.1])
def test_the_tolerances_tell_laws_apart(wrong):
    s = singular_values(300, 300, slope_squares("spread", 300), matrices=4)
    other = spectra.SingularValueLaw(300, 300, wrong / 300, slope_squares("spread", 300))
    assert abs(s.mean() - other.mean) > 3 / 300
    point = other.quantile(0.5)
    assert abs((s < point).mean() - 0.5) > 4 / 300


def test_quarter_circle():
    sigma = 0.7
    found = spectra.SingularValueLaw(1000, 1000, sigma**2 / 1000)
    assert found.mean == pytest.approx(8 * sigma / (3 * math.pi), rel=1e-6)
    assert found.mean == pytest.approx(spectra.quarter_circle_mean(sigma), rel=1e-6)
    assert found.rms == pytest.approx(sigma)
    assert found.geometric_mean == pytest.approx(sigma / math.sqrt(math.e))
    assert found.support == pytest.approx((0, 2 * sigma))
    x = np.array([0.0, 0.3, 1.0, 1.39, 1.41])
    circle = np.sqrt(np.maximum(4 * sigma**2 - x**2, 0)) / (math.pi * sigma**2)
    assert found.density(x) == pytest.approx(circle)
    # Its share below x in closed form; the table has 1001 points.
    angle = np.arcsin(np.minimum(x / (2 * sigma), 1))
    assert found.cumulative(x) == pytest.approx((2 * angle + np.sin(2 * angle)) / math.pi, abs=1e-5)


@pytest.mark.parametrize(("fan_in", "fan_out"), SHAPES)
def test_general_density_is_marchenko_pasturs_where_slopes_are_equal(fan_in, fan_out):
    closed = spectra.SingularValueLaw(fan_in, fan_out, 1 / fan_in, 0.5)
    general = spectra.SingularValueLaw(fan_in, fan_out, 1 / fan_in, [0.5, 0.5 + 1e-12])
    low, high = closed.support
    x = np.linspace(low, high, 41)[1:-1]
    assert general.density(x) == pytest.approx(closed.density(x), rel=1e-5)
    assert general.support[1] == pytest.approx(high, rel=1e-6)
    assert (general.density(np.array([high * 1.01, high * 2])) < 1e-6).all()
    assert general.mean == pytest.approx(closed.mean, rel=1e-9)
    assert general.geometric_mean == pytest.approx(closed.geometric_mean, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_mean_rms_and_zeros_agree_with_the_density(shape, kind):
    found = law_of(*shape, kind)
    angle = np.linspace(0, math.pi, 1_001)
    low, high = found.support
    x = low + (high - low) * (1 - np.cos(angle)) / 2
    steps = found.density(x) * np.sin(angle) * (high - low) / 2
    # The trapezoid rule is exact to the density's own error, larger where two arcs of the
    # support meet and at the jump of a square matrix at 0.
    assert np.trapezoid(steps, angle) == pytest.approx(1 - found.zeros, abs=1e-3)
    assert np.trapezoid(steps * x, angle) == pytest.approx(found.mean, rel=1e-4)
    assert np.trapezoid(steps * x**2, angle) == pytest.approx(found.rms**2, rel=1e-4)


def test_mean_takes_each_row_of_slopes_and_their_shares():
    tau = np.stack([slope_squares("spread", 200), slope_squares("two", 200), np.zeros(200)])
    found = spectra.mean_singular_value(300, 200, 1 / 300, tau)
    singles = [spectra.SingularValueLaw(300, 200, 1 / 300, row).mean for row in tau[:2]]
    assert found[:2] == pytest.approx(singles) and abs(found[2]) < 1e-12
    two = spectra.mean_singular_value(300, 200, 1 / 300, [1.0, 0.04], shares=[0.25, 0.75])
    spelt = spectra.mean_singular_value(300, 200, 1 / 300, [1.0, 0.04, 0.04, 0.04])
    assert two == pytest.approx(spelt, rel=1e-12)
    fine = spectra.mean_singular_value(300, 200, 1 / 300, tau[0], nodes=400)
    assert found[0] == pytest.approx(fine, rel=1e-6)


def test_scale_comes_out_in_front():
    for n_in, n_out in SHAPES:
        one = spectra.mean_singular_value(n_in, n_out, 1 / n_in, slope_squares("relu", n_out))
        nine = spectra.mean_singular_value(n_in, n_out, 9 / n_in, slope_squares("relu", n_out))
        assert nine == pytest.approx(3 * one, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_layer_without_slopes_has_only_zeros(shape):
    dead = spectra.SingularValueLaw(*shape, 1 / shape[0], [0.0, 0.0])
    assert (dead.mean, dead.rms, dead.geometric_mean, dead.support) == (0, 0, 0, (0, 0))
    assert dead.zeros == 1
    assert dead.density([0.0, 0.5]).tolist() == [0, 0]
    assert dead.cumulative([-0.1, 0.0, 0.5]).tolist() == [0, 1, 1]
    assert dead.quantile([0.0, 0.5, 1.0]).tolist() == [0, 0, 0]


@pytest.mark.parametrize("absent", [0.0, 9.0])
def test_slopes_that_do_not_occur_do_not_count(absent):
    plain = spectra.SingularValueLaw(300, 200, 1 / 300, [1.0, 0.5])
    other = spectra.SingularValueLaw(300, 200, 1 / 300, [absent, 1.0, 0.5], [0.0, 0.5, 0.5])
    assert other.geometric_mean == plain.geometric_mean and other.support == plain.support
    assert other.quantile(0.3) == plain.quantile(0.3)


@pytest.mark.parametrize("slopes", [1.0, [1.0, 0.5]])
def test_there_is_no_density_below_0(slopes):
    for shape in SHAPES:
        found = spectra.SingularValueLaw(*shape, 1 / shape[0], slopes)
        assert found.density([-1.0, -0.1]).tolist() == [0, 0] and found.density(1.0) > 0.1


# ---- products


@pytest.mark.parametrize("depth", [1, 2, 5, 10])
def test_product_law_has_the_moments_of_fuss_and_catalan(depth):
    found = spectra.ProductLaw(depth)
    # The share below s falls like s^(2/(depth+1)), and the density has a root at the edge.
    s = found.edge * np.sin(np.linspace(0, math.pi / 2, 20_001)[1:]) ** (2 * (depth + 1))
    density = found.density(s)
    for k in (0, 1, 2):
        expected = math.comb((depth + 1) * k, k) / (depth * k + 1)
        assert np.trapezoid(density * s ** (2 * k), s) == pytest.approx(expected, rel=1e-4)
    assert np.trapezoid(density * s, s) == pytest.approx(found.mean, rel=1e-4)
    assert found.rms == 1


def test_product_of_one_factor_is_the_quarter_circle():
    one, circle = spectra.ProductLaw(1), spectra.SingularValueLaw(500, 500, 1 / 500)
    assert one.mean == pytest.approx(circle.mean) and one.edge == pytest.approx(2)
    assert one.geometric_mean == pytest.approx(circle.geometric_mean)
    x = np.linspace(0.05, 1.95, 20)
    assert one.density(x) == pytest.approx(circle.density(x), rel=1e-6)
    share = np.linspace(0.05, 0.95, 10)
    assert one.quantile(share) == pytest.approx(circle.quantile(share), abs=1e-4)


@pytest.mark.parametrize("depth", [1, 2, 5, 12, 30])
def test_shares_of_the_product_law_are_what_its_density_integrates_to(depth):
    """In steps of log s, down to where 1e-3 of the values are left."""
    found = spectra.ProductLaw(depth)
    start = found.quantile(1e-3)
    s = np.geomspace(start, found.edge, 20_001)
    integral = np.trapezoid(found.density(s) * s, np.log(s))
    # The trapezoid rule errs most at the edge, where the density ends in a root: by up to 4e-6 at
    # this many points, and an eighth of it at four times as many.
    assert integral == pytest.approx(1 - found.cumulative(start), rel=1e-5)
    share = np.array([0.0, 1e-9, 0.01, 0.5, 0.999, 1.0])
    assert found.cumulative(found.quantile(share)) == pytest.approx(share, abs=1e-12)
    assert found.quantile(1.0) == found.edge and found.quantile(0.0) == 0
    assert found.cumulative([-1.0, 0.0, 2 * found.edge]).tolist() == [0, 0, 1]


def test_a_deep_product_is_no_trouble():
    """The depth may come out of a numpy array: 16^16 does not fit into its 64 bits."""
    found = spectra.ProductLaw(np.int64(15))
    assert found.edge == pytest.approx(math.sqrt(16**16 / 15**15))
    deep = spectra.ProductLaw(1000)
    share = np.array([0.2, 0.9, 0.999])
    assert np.isfinite(deep.density([1e-3, 1.0])).all()
    assert deep.cumulative(deep.quantile(share))[1:] == pytest.approx(share[1:], abs=1e-12)


@pytest.mark.parametrize("depth", [2, 5])
def test_product_law_holds_on_sampled_products(depth):
    """n = 300, 4 products: means scatter by some 1/n, the logarithm's mean by depth times that."""
    rng, n = np.random.default_rng(4), 300
    product = np.eye(n)
    for _ in range(depth):
        product = product @ rng.normal(0, n**-0.5, (4, n, n))
    s = np.linalg.svd(product, compute_uv=False)
    found = spectra.ProductLaw(depth)
    assert s.mean() == pytest.approx(found.mean, abs=3 * depth / n)
    assert np.log(s).mean() == pytest.approx(math.log(found.geometric_mean), abs=5 * depth / n)
    share = np.array([0.25, 0.5, 0.75])
    assert np.quantile(s, share) == pytest.approx(found.quantile(share), abs=5 * depth / n)
    assert s[:, 0].mean() == pytest.approx(found.edge, rel=4 * n ** (-2 / 3))


# ---- products of layers with slopes

LAYERS = {
    "alike": [slope_squares("spread", 100)] * 3,
    "different": [slope_squares(kind, 100) for kind in ("two", "ones", "spread")],
    "relu": [slope_squares("relu", 100)] * 3,
    "one relu": [slope_squares("ones", 100), slope_squares("relu", 100)],
}
SIGMA_SQUARE = (1.0, 2.0, 0.5)


def product_law(kind):
    tau = LAYERS[kind]
    return spectra.LayerProductLaw(SIGMA_SQUARE[: len(tau)], tau)


@pytest.mark.parametrize("kind", KINDS)
def test_one_layers_product_law_is_the_layers_law(kind):
    tau = slope_squares(kind, 400)
    one, layer = spectra.LayerProductLaw([0.7], [tau]), spectra.SingularValueLaw(9, 9, 0.7 / 9, tau)
    assert one.mean == pytest.approx(layer.mean, rel=2e-6)
    assert (one.rms, one.zeros) == pytest.approx((layer.rms, layer.zeros))
    assert one.geometric_mean == pytest.approx(layer.geometric_mean)
    assert one.edge == pytest.approx(layer.support[1], rel=1e-9)
    x = layer.support[1] * np.array([1e-3, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999, 1.5])
    assert one.density(x) == pytest.approx(layer.density(x), rel=1e-5, abs=1e-5)
    # The layer's is read from a table of 1001 points.
    assert one.cumulative(x) == pytest.approx(layer.cumulative(x), abs=1e-4)


@pytest.mark.parametrize("depth", [1, 2, 5, 12, 30])
def test_layers_with_slopes_1_follow_fuss_and_catalan(depth):
    found, linear = (
        spectra.LayerProductLaw([4.0] * depth, [[1.0]] * depth),
        spectra.ProductLaw(depth),
    )
    scale = 2.0**depth
    for name in ("mean", "rms", "geometric_mean", "edge"):
        assert getattr(found, name) == pytest.approx(scale * getattr(linear, name), rel=1e-9), name
    x = linear.edge * np.array([1e-8, 1e-4, 1e-2, 0.1, 0.5, 0.9, 0.9999])
    assert scale * found.density(scale * x) == pytest.approx(linear.density(x), rel=1e-6)
    assert found.cumulative(scale * x) == pytest.approx(linear.cumulative(x), abs=1e-9)


@pytest.mark.parametrize("kind", LAYERS)
def test_product_law_of_layers_holds_on_sampled_products(kind):
    """n = 400, 4 products: the tolerances of the linear products, which are of the same order."""
    rng, n, tau = np.random.default_rng(7), 400, LAYERS[kind]
    product = np.eye(n)
    for sigma_square, own in zip(SIGMA_SQUARE, tau, strict=False):
        # No layer knows another's order.
        own = np.stack([rng.permutation(np.tile(own, 4)) for _ in range(4)])
        product = product @ (
            rng.normal(0, (sigma_square / n) ** 0.5, (4, n, n)) * np.sqrt(own)[:, None]
        )
    s, found, depth = np.linalg.svd(product, compute_uv=False), product_law(kind), len(tau)
    assert s.mean() == pytest.approx(found.mean, abs=3 * depth / n)
    assert math.sqrt((s**2).mean()) == pytest.approx(found.rms, abs=4 * depth / n)
    assert s[:, 0].mean() == pytest.approx(found.edge, rel=4 * n ** (-2 / 3))
    points = found.edge * np.array([0.003, 0.03, 0.1, 0.3, 0.6])
    below = (s.ravel()[:, None] < points).mean(0)
    assert below == pytest.approx(found.cumulative(points), abs=4 * depth / n)
    zeros = 1 - min((own > 0).mean() for own in tau)  # the least rank, short of chance
    assert found.zeros == pytest.approx(zeros) and (s < 1e-9).mean() >= found.zeros - 1e-12
    if not zeros:
        assert np.log(s).mean() == pytest.approx(math.log(found.geometric_mean), abs=5 * depth / n)


def test_the_tolerances_tell_products_apart():
    """The layers' mean slopes in place of their slopes: off by more than is allowed above."""
    tau, found = LAYERS["different"], product_law("different")
    flat = spectra.LayerProductLaw(SIGMA_SQUARE, [[own.mean()] for own in tau])
    assert flat.rms == pytest.approx(found.rms)
    assert abs(flat.mean - found.mean) > 3 * 3 / 400
    assert abs(flat.cumulative(0.03 * found.edge) - found.cumulative(0.03 * found.edge)) > 12 / 400


@pytest.mark.parametrize("kind", LAYERS)
def test_density_share_mean_and_rms_of_a_product_agree(kind):
    """Each by its own equation. The steps are small at the edge and at 0, where there are roots."""
    found = product_law(kind)
    angle = np.linspace(0, math.pi / 2, 601)
    s = found.edge * np.sin(angle) ** (2 * found.depth)
    density, share = found.density(s), found.cumulative(s)
    steps = (density[1:] + density[:-1]) / 2 * np.diff(s)
    # The trapezoid rule errs most in the first steps, where the density has no bound.
    assert np.cumsum(steps)[1:] == pytest.approx(share[2:] - found.zeros, abs=2e-3)
    assert np.trapezoid(density * s, s) == pytest.approx(found.mean, rel=1e-4)
    assert np.trapezoid(density * s**2, s) == pytest.approx(found.rms**2, rel=1e-4)
    assert (np.diff(share) > -1e-9).all()
    outside = [-1.0, 0.0, found.edge, 2 * found.edge]
    assert found.cumulative(outside).tolist() == [0, found.zeros, 1, 1]
    assert found.density(outside).tolist() == [0, 0, 0, 0]


def test_a_product_with_a_dead_layer_has_only_zeros():
    dead = spectra.LayerProductLaw([1.0, 1.0], [[1.0, 0.5], [0.0, 0.0]])
    assert (dead.mean, dead.rms, dead.geometric_mean, dead.edge, dead.zeros) == (0, 0, 0, 0, 1)
    assert dead.density([0.0, 0.5]).tolist() == [0, 0]
    assert dead.cumulative([-0.1, 0.0, 0.5]).tolist() == [0, 1, 1]


@pytest.mark.parametrize("depth", [10, 20])
def test_deep_products_of_saturated_layers_are_no_trouble(depth):
    """Slopes over ten powers of ten, and singular values over more: shares still rise."""
    s = 4 * np.random.default_rng(3).normal(size=200)
    found = spectra.LayerProductLaw([9.0] * depth, [(1 - np.tanh(s) ** 2) ** 2] * depth)
    x = found.edge * np.geomspace(1e-9, 0.9999999, 60)
    share = found.cumulative(x)
    assert (np.diff(share) > 0).all() and (found.density(x) > 0).all()


# ---- bad input


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="fan_in must be above 0, not 0"):
        spectra.SingularValueLaw(0, 3, 1.0)
    with pytest.raises(ValueError, match="variance must be above 0, not -1"):
        spectra.mean_singular_value(3, 3, -1, [1.0])
    for wrong in ([-0.1], [math.nan], [math.inf]):
        with pytest.raises(ValueError, match="slope_square needs finite values of at least 0"):
            spectra.SingularValueLaw(3, 3, 1.0, wrong)
    with pytest.raises(ValueError, match=r"K at least 1, not \(0,\)"):
        spectra.SingularValueLaw(3, 3, 1.0, [])
    with pytest.raises(ValueError, match=r"shape \(\.\.\., K\), K at least 1, not \(\)"):
        spectra.mean_singular_value(3, 3, 1.0, 0.5)
    with pytest.raises(ValueError, match=r"slope_square needs shape \(K,\)"):
        spectra.SingularValueLaw(3, 3, 1.0, np.ones((2, 2)))
    with pytest.raises(ValueError, match="add up to 1"):
        spectra.SingularValueLaw(3, 3, 1.0, [0.1, 0.2], shares=[0.5, 0.6])
    for law in (spectra.ProductLaw(2), spectra.SingularValueLaw(3, 3, 1.0)):
        with pytest.raises(ValueError, match="p must lie in 0 to 1"):
            law.quantile(1.5)
    for wrong in (0, 1.5, None, True):
        with pytest.raises(ValueError, match="depth must be a whole number"):
            spectra.ProductLaw(wrong)
    for sigma_square, tau in (([1.0], []), ([], []), ([1.0], [[1.0], [1.0]]), (1.0, [[1.0]])):
        with pytest.raises(ValueError, match="need an entry for each of d layers"):
            spectra.LayerProductLaw(sigma_square, tau)
    with pytest.raises(ValueError, match=r"sigma_square needs numbers above 0, not \[ 1. -1.\]"):
        spectra.LayerProductLaw([1.0, -1.0], [[1.0], [1.0]])
    with pytest.raises(ValueError, match="slope_square needs finite values of at least 0"):
        spectra.LayerProductLaw([1.0], [[-1.0]])
