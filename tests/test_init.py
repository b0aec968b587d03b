"""Initialisation against exact bounds, and against what PyTorch draws, in distribution."""

import math

import pytest
import torch
from torch import nn

from course_lib import init

SHAPES = [(1, 1), (7, 3), (784, 10), (1000, 1000)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def distance(a, b):
    """Return the Kolmogorov-Smirnov statistic: the largest gap between two distributions."""
    values = torch.cat([a, b]).sort().values
    share_a = torch.searchsorted(a.sort().values, values, right=True) / len(a)
    share_b = torch.searchsorted(b.sort().values, values, right=True) / len(b)
    return (share_a - share_b).abs().max().item()


def furthest(n):
    """Return the statistic that two equal distributions, n draws each, exceed once in 1e5."""
    return math.sqrt(math.log(2 / 1e-5) / n)  # sqrt(log(2/p) / 2) * sqrt(2/n), asymptotically


@pytest.mark.parametrize(("fan_in", "fan_out"), SHAPES)
def test_bounds_are_the_equations(fan_in, fan_out):
    assert init.bound("standard", fan_in, fan_out) == 1 / math.sqrt(fan_in)  # Eq. (1)
    expected = math.sqrt(6) / math.sqrt(fan_in + fan_out)  # Eq. (16)
    assert init.bound("normalized", fan_in, fan_out) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("fill_", [init.standard_, init.normalized_])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_fill_the_interval_and_stay_inside(fill_, dtype):
    fan_in, fan_out = 300, 100
    weight = torch.full((4, fan_in, fan_out), torch.nan, dtype=dtype)
    assert fill_(weight, generator()) is weight
    a = 1 / math.sqrt(300) if fill_ is init.standard_ else math.sqrt(6 / 400)
    n = weight.numel()
    assert weight.abs().max() <= torch.tensor(a, dtype=dtype)
    # The largest of n uniform draws misses the end by a share 20/n with probability exp(-20/2).
    assert weight.max() > a * (1 - 20 / n) and weight.min() < -a * (1 - 20 / n)
    # Mean 0 +- a/sqrt(3n); variance a^2/3, its estimate +- a^2 sqrt(4/45/n). Five of each.
    assert abs(weight.mean().item()) < 5 * a / math.sqrt(3 * n)
    error = 5 * a * a * math.sqrt(4 / 45 / n)
    assert weight.var().item() == pytest.approx(a * a / 3, abs=error)


def test_normalized_equals_torch_xavier_in_distribution():
    ours = init.normalized_(torch.empty(400, 250), generator(1)).flatten()
    theirs = nn.init.xavier_uniform_(torch.empty(250, 400), generator=generator(2)).flatten()
    assert distance(ours, theirs) < furthest(len(ours))


def test_standard_equals_what_torch_linear_draws():
    weight = torch.empty(250, 400)  # as in nn.Linear: (fan_out, fan_in)
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator(2))
    ours = init.standard_(torch.empty(400, 250), generator(1)).flatten()
    assert distance(ours, weight.flatten()) < furthest(len(ours))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        linear = nn.Linear(400, 250)
    assert distance(ours, linear.weight.detach().flatten()) < furthest(len(ours))


def test_the_distance_tells_the_two_schemes_apart():
    ours = init.standard_(torch.empty(400, 250), generator(1)).flatten()
    other = init.normalized_(torch.empty(400, 250), generator(2)).flatten()
    assert distance(ours, other) > furthest(len(ours))
    # It even tells bounds that differ by 3 % apart: the gap is then 1.5 % over the threshold 1.1 %.
    assert distance(ours, 1.03 * ours) > furthest(len(ours))


def test_linear_weight_is_filled_in_place():
    with torch.random.fork_rng(devices=[]):
        linear = nn.Linear(50, 20)
    weight = linear.weight
    init.fill_(linear.weight.mT, "normalized", generator())
    assert linear.weight is weight and weight.requires_grad and weight.is_leaf
    expected = init.normalized_(torch.empty(50, 20), generator())
    assert torch.equal(weight.detach(), expected.T)
    assert weight.abs().max() > 1 / math.sqrt(50)  # sqrt(6/70) is beyond what nn.Linear draws


def test_one_generator_gives_one_network_at_any_precision_and_scale():
    double = init.standard_(torch.empty(30, 20, dtype=torch.float64), generator(5))
    single = init.standard_(torch.empty(30, 20), generator(5))
    assert torch.equal(double.float(), single)
    scaled = init.normalized_(torch.empty(30, 20, dtype=torch.float64), generator(5))
    ratio = math.sqrt(6 / 50) * math.sqrt(30)
    torch.testing.assert_close(scaled, double * ratio, rtol=1e-12, atol=0)
    assert not torch.equal(double, init.standard_(torch.empty_like(double), generator(6)))


def test_filling_leaves_the_global_random_state_alone():
    before = torch.random.get_rng_state()
    init.fill_(torch.empty(10, 10), "standard", generator())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_aliases():
    aliases = {"xavier": "normalized", "glorot": "normalized", "torch_default": "standard"}
    for alias, name in aliases.items():
        assert init.resolve(alias) == name
        found = init.fill_(torch.empty(5, 4), alias, generator())
        assert torch.equal(found, init.fill_(torch.empty(5, 4), name, generator()))
    assert [init.resolve(name) for name in init.SCHEMES] == list(init.SCHEMES)


@pytest.mark.parametrize("name", ["Xavier", "he2", "", None])
def test_unknown_scheme_lists_the_known(name):
    known = "standard, normalized, xavier, glorot, torch_default"
    expected = f"unknown scheme {name!r}; choose one of {known}"
    with pytest.raises(ValueError, match=expected):
        init.fill_(torch.empty(2, 2), name, generator())


def test_wrong_weights_and_generators_are_refused():
    for shape in [(), (3,), (0, 3), (3, 0), (2, 0, 3)]:
        with pytest.raises(ValueError, match=r"shape \(..., fan_in, fan_out\)"):
            init.standard_(torch.empty(shape), generator())
    with pytest.raises(ValueError, match="floating point, not torch.int64"):
        init.standard_(torch.zeros(2, 2, dtype=torch.int64), generator())
    for nothing in (None, 0):
        with pytest.raises(ValueError, match=f"torch.Generator of the CPU, not {nothing}"):
            init.standard_(torch.empty(2, 2), nothing)
