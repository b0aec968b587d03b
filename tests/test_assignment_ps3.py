"""Assignment 3, graded: each answer gets its points, and a mistake costs only where it is made."""

import math

import assignment
import numpy as np
import pytest
import torch

from course_lib import theory
from course_lib.classroom import sources
from course_lib.classroom.references import ps3

SOURCE = sources.read(sources.find("ps3"))
# Everything once more in another way, as it may come from a student.
OTHERWISE = {
    "ps3-forward": """
import numpy as np
def forward_variances(sizes, variances, mean_square):
    factors = np.array(sizes[:-2]) * np.array(variances[:-1])
    return list(mean_square * np.concatenate([[1.0], np.cumprod(factors)]))
""",
    "ps3-backward": """
import numpy as np
def backward_variances(sizes, variances, top):
    d = len(sizes) - 2
    return torch.tensor([
        top * np.prod([sizes[j + 1] * variances[j] for j in range(i + 1, d + 1)])
        for i in range(d + 1)
    ])
""",
    "ps3-down": """
down = 1
for n, m in zip(setting["sizes"][1:], setting["sizes"][2:]):
    down *= torch.tensor(m / (3 * n))
""",
    "ps3-weight-variance": """
def weight_variance(rule, fan_in, fan_out):
    size = {"forward": fan_in, "backward": fan_out, "compromise": (fan_in + fan_out) / 2}[rule]
    return torch.tensor(1.0) / size
""",
    "ps3-up": """
import math
n = setting["sizes"]
up = math.prod(2 * n[i] / (n[i] + n[i + 1]) for i in range(len(n) - 2))
""",
    "ps3-uniform": """
import numpy as np
def draw_uniform(fan_in, fan_out, variance, seed):
    a = np.sqrt(3 * variance)
    return np.random.default_rng(seed).uniform(-a, a, (fan_in, fan_out)).astype(np.float32)
""",
    "ps3-truncated": """
import math
import numpy as np
def draw_truncated(fan_in, fan_out, variance, seed):
    # By the inverse of the distribution function.
    generator = torch.Generator().manual_seed(seed)
    low = 0.5 * (1 + math.erf(-2 / math.sqrt(2)))
    u = low + (1 - 2 * low) * torch.rand(fan_in, fan_out, generator=generator)
    g = math.sqrt(2) * torch.erfinv(2 * u - 1)
    x = torch.linspace(-2, 2, 100_001, dtype=torch.float64)
    density = torch.exp(-x**2 / 2)
    return g * math.sqrt(variance / ((x**2 * density).sum() / density.sum()))
""",
    "ps3-sample": """
import numpy as np
def sample_networks(sizes, variances, mean_square, networks, seed):
    rng = np.random.default_rng(seed)
    found = np.empty((networks, len(sizes) - 2))
    for r in range(networks):
        z = rng.normal(0, mean_square**0.5, sizes[0])
        for i in range(len(sizes) - 2):
            z = z @ rng.normal(0, variances[i] ** 0.5, (sizes[i], sizes[i + 1]))
            found[r, i] = (z**2).mean()
    return found
""",
    "ps3-relu": """
def relu_mean_squares(sizes, variances, mean_square):
    squares = torch.full((len(sizes) - 1,), mean_square, dtype=torch.float64)
    for i in range(1, len(sizes) - 1):
        squares[i] = squares[i - 1] * sizes[i - 1] * variances[i - 1] * 0.5
    return squares
""",
    "ps3-relu-bound": """
def relu_bound(fan_in, fan_out):
    return torch.sqrt(3 * torch.tensor(4 / (fan_in + fan_out), dtype=torch.float64))
""",
}


def test_reference_is_that_of_theory_and_of_sampling():
    sizes = [30, 12, 40, 9]
    v = ps3.variances(sizes, 3)
    assert np.isclose(ps3.forward_variances(sizes, v, 0.5)[2], 0.5 * 30 * v[0] * 12 * v[1])
    assert np.isclose(ps3.backward_variances(sizes, v, 0.1)[0], 0.1 * 40 * v[1] * 9 * v[2])
    assert ps3.down(sizes) == pytest.approx(9 / 12 / 3**2)
    assert ps3.up(sizes) == pytest.approx(60 / 42 * 24 / 52)
    assert ps3.relu_bound(30, 12) == pytest.approx(math.sqrt(2) * theory.normalized_bound(30, 12))
    # Rectified networks, sampled: each with its own weights and input, 5 standard errors.
    generator, networks = torch.Generator().manual_seed(1), 4000
    z = 0.5**0.5 * torch.randn(networks, 1, 30, generator=generator)
    for i in range(2):
        shape = networks, sizes[i], sizes[i + 1]
        z = (v[i] ** 0.5 * z @ torch.randn(shape, generator=generator)).clamp(min=0)
        squares = z.square().mean((1, 2))
        off = squares.mean() - ps3.relu_mean_squares(sizes, v, 0.5)[i + 1]
        assert abs(off) < 5 * squares.std() / networks**0.5


def test_variance_that_a_cut_leaves():
    x = torch.linspace(-2, 2, 200_001, dtype=torch.float64)
    density = torch.exp(-(x**2) / 2)
    left, fourth = (
        float(torch.trapezoid(x**k * density) / torch.trapezoid(density)) for k in (2, 4)
    )
    assert left == pytest.approx(ps3.LEFT, abs=1e-6) and round(left, 4) == 0.7737
    assert fourth / left**2 == pytest.approx(ps3.KURTOSIS["truncated"], abs=1e-5)
    w = torch.empty(1000, 1000, dtype=torch.float64)
    torch.nn.init.trunc_normal_(w, a=-2, b=2, generator=torch.Generator().manual_seed(0))
    assert float(w.var()) == pytest.approx(ps3.LEFT, rel=0.006)  # 5 times sqrt(1.4 / 10^6)
    moved = torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    assert float(moved.var()) == pytest.approx(0.9196, rel=0.006)


def test_logarithms_of_squares_of_gaussian_numbers():
    """By integration: mean, variance and excess, over Gaussian numbers g = exp(u)."""
    u = torch.linspace(-40, 3, 2_000_001, dtype=torch.float64)
    density = torch.exp(u - torch.exp(2 * u) / 2)  # of log |g|, times a constant
    density /= density.sum()
    mean = (2 * u * density).sum()
    variance, fourth = (((2 * u - mean) ** k * density).sum() for k in (2, 4))
    found = float(mean), float(variance), float(fourth / variance**2 - 3)
    assert found == pytest.approx(ps3._LOG, abs=1e-5)


@pytest.mark.parametrize("secret", ["", *(f"class {k}" for k in range(40))])
def test_sizes_differ_by_a_factor_up_and_down(secret):
    setting, hidden = sources.draw(SOURCE, secret)
    for sizes in (setting["sizes"], hidden["sizes"], hidden["deep"]):
        steps = np.array(sizes[1:]) / sizes[:-1]
        assert (np.maximum(steps, 1 / steps) >= 1.3).all() and steps.min() < 1 < steps.max()


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_solutions_earn_all_points_in_every_class(secret):
    assignment.check_all_points(SOURCE, secret)


def test_right_draws_are_accepted_whatever_the_seed():
    """5 standard errors on each of some ten numbers: none of 80 right answers fails."""
    namespace = {"torch": torch, "np": np}
    for name in ("uniform", "truncated", "sample"):
        exec(assignment.solutions(SOURCE)[f"ps3-{name}"], namespace)
    sizes = [20, 31, 25, 20]
    v = ps3.variances(sizes, 1)
    expected = ps3.forward_variances(sizes, v, 0.3)
    for seed in range(20):
        for law, off in (("uniform", ps3.uniform_off), ("truncated", ps3.truncated_off)):
            w = namespace[f"draw_{law}"](120, 126, 0.01, seed)
            assert not ps3.spread_off(w, 120, 126, 0.01, law) and not off(w, 120, 126)
        squares = namespace["sample_networks"](sizes, v, 0.3, 300, seed)
        assert not ps3.sample_off(squares, sizes, expected, 300)
        squares = namespace["sample_networks"](ps3.NARROW, v, 0.3, 2000, seed)
        assert not ps3.own_off(squares, v, 0.3, 2000)


def test_blank_earns_nothing_and_says_so():
    words = {
        "ps3-truncated-law-test": "draw_truncated is not written yet.",
        "ps3-up-test": "there is no up yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_any_correct_way_passes():
    assignment.check_another_way(SOURCE, OTHERWISE)


MISTAKES = {
    "fan-out on the way up": (
        "ps3-forward", "* sizes[i] *", "* sizes[i + 1] *",
        {"ps3-forward-test": "entry 1, counted from 0, is "},
    ),
    "the logits, too": (
        "ps3-forward", "len(sizes) - 2", "len(sizes) - 1",
        {"ps3-forward-test": "shape (5,)"},
    ),
    "the notebook's depth": (
        "ps3-forward", "range(len(sizes) - 2)", "range(d)", {"ps3-forward-test": "IndexError"},
    ),
    "the notebook's depth, rectified": (
        "ps3-relu", "zip(sizes[:-2], variances)", "zip(sizes[:d], variances)",
        {"ps3-relu-test": "shape"},
    ),
    "no mean square": (
        "ps3-forward", "[mean_square]", "[1.0]", {"ps3-forward-test": "right but for a factor"},
    ),
    "fan-in on the way down": (
        "ps3-backward", "sizes[i + 1]", "sizes[i]",
        {"ps3-backward-test": "entry 2, counted from 0, is "},
    ),
    "as the paper prints it": (
        "ps3-backward", "range(len(variances) - 1, 0, -1)", "range(len(variances) - 1, -1, -1)",
        {"ps3-backward-test": "that is one matrix too many"},
    ),
    "one matrix too low": (
        "ps3-backward", "sizes[i + 1] * variances[i]", "sizes[i] * variances[i - 1]",
        {"ps3-backward-test": "entry 2, counted from 0, is "},
    ),
    "from the bottom": (
        "ps3-backward", "torch.tensor(found, ", "torch.tensor(found[::-1], ",
        {"ps3-backward-test": "the list is upside down"},
    ),
    "three hidden layers only": (
        "ps3-forward", "    found = [", "    sizes[4]\n    found = [",
        {"ps3-forward-test": "IndexError"},
    ),
    "three hidden layers only, downwards": (
        "ps3-backward", "    found = [", "    sizes[4]\n    found = [",
        {"ps3-backward-test": "IndexError"},
    ),
    "a third in every matrix": (
        "ps3-down", "sizes[-1] / sizes[1] / 3", "1 / 3", {"ps3-down-test": "or is that fan-in"},
    ),
    "one matrix too many": (
        "ps3-down", "sizes[-1] / sizes[1] / 3 ** (len(sizes) - 2)",
        "sizes[-1] / sizes[0] / 3 ** (len(sizes) - 1)", {"ps3-down-test": "one matrix too many"},
    ),
    "one third for all matrices": (
        "ps3-down", "3 ** (len(sizes) - 2)", "3", {"ps3-down-test": "a third of its own"},
    ),
    "the size of the inputs": (
        "ps3-down", "sizes[1]", "sizes[0]", {"ps3-down-test": "has W^0 a part"},
    ),
    "upside down": (
        "ps3-down", "sizes[-1] / sizes[1] / 3 **", "sizes[1] / sizes[-1] * 3 **",
        {"ps3-down-test": "other way round"},
    ),
    "the rules exchanged": (
        "ps3-weight-variance", '    if rule == "forward"',
        '    fan_in, fan_out = fan_out, fan_in\n    if rule == "forward"',
        {"ps3-weight-variance-test": "That is the other rule: which size counts on the way up?"},
    ),
    "the compromise whatever is asked": (
        "ps3-weight-variance", 'rule == "forward"', 'rule != "forward"',
        {"ps3-weight-variance-test": "That is the compromise"},
    ),
    "the mean of the variances": (
        "ps3-weight-variance", "2 / (fan_in + fan_out)", "(1 / fan_in + 1 / fan_out) / 2",
        {"ps3-weight-variance-test": "the mean of two variances"},
    ),
    "the mean of the sizes": (
        "ps3-weight-variance", "2 / (fan_in + fan_out)", "(fan_in + fan_out) / 2",
        {"ps3-weight-variance-test": "the variance is one over it"},
    ),
    "the mean of the variances, rectified": (
        "ps3-relu-bound", "12 / (fan_in + fan_out)", "3 * (1 / fan_in + 1 / fan_out)",
        {"ps3-relu-bound-test": "the mean of two variances"},
    ),
    "the signal for its ratio": (
        "ps3-up", "up = 1\n", 'up = setting["mean_square"]\n',
        {"ps3-up-test": "That is Var[z^d] itself"},
    ),
    "on to the logits": (
        "ps3-up", "zip(sizes[:-2], sizes[1:])", "zip(sizes, sizes[1:])",
        {"ps3-up-test": "which matrix leads to z^d"},
    ),
    "fan-out in the product": (
        "ps3-up", "2 * fan_in", "2 * fan_out", {"ps3-up-test": "which of a matrix's two sizes"},
    ),
    "the root as the bound": (
        "ps3-uniform", "(3 * variance)", "variance",
        {"ps3-uniform-variance-test": "which variance has u[-a, a]"},
    ),
    "from 0 on": (
        "ps3-uniform", "dtype=torch.float64) - 1)", "dtype=torch.float64))",
        {"ps3-uniform-variance-test": "the mean"},
    ),
    "the transposed weight": (
        "ps3-uniform", "torch.rand(fan_in, fan_out,", "torch.rand(fan_out, fan_in,",
        {"ps3-uniform-variance-test": "the transpose", "ps3-uniform-law-test": "the transpose"},
    ),
    "a Gaussian for uniform": (
        "ps3-uniform", "return a * (",
        "return a * torch.randn(fan_in, fan_out, generator=generator) / 3**0.5\n    (",
        {"ps3-uniform-law-test": "not uniform"},
    ),
    "rows sorted": (
        "ps3-uniform", "dtype=torch.float64) - 1)", "dtype=torch.float64) - 1).sort(1).values",
        {"ps3-uniform-law-test": "neighbouring rows have the correlation"},
    ),
    "numbers in order": (
        "ps3-uniform", "torch.rand(fan_in, fan_out, generator=generator, dtype=torch.float64)",
        "torch.linspace(0, 1, fan_in * fan_out).reshape(fan_in, fan_out)",
        {"ps3-uniform-law-test": "neighbouring"},
    ),
    "numbers shuffled": (
        "ps3-uniform", "torch.rand(fan_in, fan_out, generator=generator, dtype=torch.float64)",
        "torch.linspace(0, 0.999999, fan_in * fan_out, dtype=torch.float64)[torch.randperm("
        "fan_in * fan_out, generator=generator)].reshape(fan_in, fan_out)",
        {"ps3-uniform-law-test": "the same numbers in another order"},
    ),
    "rows in pairs": (
        "ps3-uniform", "    return a * (2 * torch.rand(fan_in, fan_out",
        "    w = a * (2 * torch.rand(fan_in // 2 + 1, fan_out, generator=generator) - 1)\n"
        "    return torch.stack([w, -w], 1).reshape(-1, fan_out)[:fan_in]\n"
        "    return a * (2 * torch.rand(fan_in, fan_out",
        {"ps3-uniform-law-test": "neighbouring rows have the correlation -0.5"},
    ),
    "each draw once more with the other sign": (
        "ps3-uniform", "    return a * (2 * torch.rand(fan_in, fan_out",
        "    w = a * (2 * torch.rand(fan_in // 2 + 1, fan_out, generator=generator) - 1)\n"
        "    return torch.cat([w, -w])[:fan_in]\n"
        "    return a * (2 * torch.rand(fan_in, fan_out",
        {"ps3-uniform-law-test": "draws occur again"},
    ),
    "two values": (
        "ps3-uniform", "    return a * (2 *", "    return variance**0.5 * torch.sign(torch.randn("
        "fan_in, fan_out, generator=generator))\n    return a * (2 *",
        {"ps3-uniform-law-test": "not uniform"},
    ),
    "no seed": (
        "ps3-uniform", "torch.Generator().manual_seed(seed)", "None",
        {"ps3-uniform-law-test": "other draws the second time"},
    ),
    "always one seed": (
        "ps3-uniform", "manual_seed(seed)", "manual_seed(0)",
        {"ps3-uniform-law-test": "another seed gives the same"},
    ),
    "the cut forgotten": (
        "ps3-truncated", "(variance / 0.7737) ** 0.5", "variance ** 0.5",
        {"ps3-truncated-variance-test": "the cut takes the largest draws away"},
    ),
    "the factor for the variance": (
        "ps3-truncated", "(variance / 0.7737) ** 0.5", "variance ** 0.5 / 0.7737",
        {"ps3-truncated-variance-test": "by what their variance needs"},
    ),
    "a cut a little further out": (
        "ps3-truncated", "g.abs() > 2)", "g.abs() > 2.3)",
        {"ps3-truncated-variance-test": "", "ps3-truncated-law-test": "the cut is at 2"},
    ),
    "cut, and in order": (
        "ps3-truncated", "** 0.5 * g", "** 0.5 * g.sort(1).values",
        {"ps3-truncated-law-test": "neighbouring rows have the correlation"},
    ),
    "moved to the cut": (
        "ps3-truncated", "while (beyond := g.abs() > 2)",
        "g = g.clamp(-2, 2)\n    while (beyond := g.abs() > 3)",
        {"ps3-truncated-variance-test": "not moved to it",
         "ps3-truncated-law-test": "exactly at the cut"},
    ),
    "nothing is cut": (
        "ps3-truncated", "> 2).any()", "> 9).any()",
        {"ps3-truncated-variance-test": "has anything been cut",
         "ps3-truncated-law-test": "the cut is at 2"},
    ),
    "a plain Gaussian": (
        "ps3-truncated", "while (beyond", "return variance**0.5 * g\n    while (beyond",
        {"ps3-truncated-law-test": "the cut is at 2"},
    ),
    "the variance for its root": (
        "ps3-sample", "v**0.5 * w", "v * w",
        {"ps3-sample-test": "the mean square of z^1", "ps3-own-test": "z^1"},
    ),
    "one network for all": (
        "ps3-sample", "torch.randn(networks, fan_in, fan_out,", "torch.randn(1, fan_in, fan_out,",
        {"ps3-sample-test": "times what Eq. (5) has", "ps3-own-test": "has each its own W^1?"},
    ),
    "one input for all": (
        "ps3-sample", "torch.randn(networks, 1, sizes[0],", "torch.randn(1, 1, sizes[0],",
        {"ps3-sample-test": "look at the inputs", "ps3-own-test": "its own Gaussian input"},
    ),
    "inputs of one length": (
        "ps3-sample", "    z, squares",
        "    x /= x.square().mean(2, keepdim=True).sqrt()\n    z, squares",
        {"ps3-sample-test": "scatter by", "ps3-own-test": "its own Gaussian input"},
    ),
    "no seed for networks": (
        "ps3-sample", "torch.Generator().manual_seed(seed)", "None",
        {"ps3-own-test": "other draws the second time"},
    ),
    "one seed in every layer": (
        "ps3-sample", "        w = torch.randn(",
        "        generator.manual_seed(seed)\n        w = torch.randn(",
        {"ps3-own-test": "made of the same draws"},
    ),
    "uniform weights": (
        "ps3-sample",
        "w = torch.randn(networks, fan_in, fan_out, generator=generator, dtype=torch.float64)",
        "w = 12**0.5 * (torch.rand(networks, fan_in, fan_out, generator=generator) - 0.5).double()",
        {"ps3-own-test": "not what Gaussian weights"},
    ),
    "the variance for the mean square": (
        "ps3-sample", "z.square().mean((1, 2))", "z.var((1, 2), correction=0)",
        {"ps3-own-test": "is it a variance"},
    ),
    "the formula with noise": (
        "ps3-sample", "    return torch.stack(squares, dim=1)",
        "    right = forward_variances(sizes, variances, mean_square)[1:]\n"
        "    return right * (1 + 0.3 * torch.randn(networks, len(sizes) - 2, generator=generator))",
        {"ps3-sample-test": "scatter by", "ps3-own-test": "negative"},
    ),
    "means of the logits": (
        "ps3-sample", "zip(variances, sizes[:-2],", "zip(variances, sizes[:-1],",
        {"ps3-sample-test": "shape", "ps3-own-test": "shape"},
    ),
    "a linear unit": (
        "ps3-relu", "* v / 2", "* v", {"ps3-relu-test": "right in 1 of its 4"},
    ),
    "the variance of z": (
        "ps3-relu", "* v / 2", "* v * (0.5 - 0.5 / torch.pi)",
        {"ps3-relu-test": "right in 1 of its 4"},
    ),
    "the bound of linear units": (
        "ps3-relu-bound", "12", "6", {"ps3-relu-bound-test": "Eq. (16) itself"},
    ),
    "the variance for the bound": (
        "ps3-relu-bound", "(12 / (fan_in + fan_out)) ** 0.5", "4 / (fan_in + fan_out)",
        {"ps3-relu-bound-test": "That is the variance"},
    ),
    "the signal alone": (
        "ps3-relu-bound", "(12 / (fan_in + fan_out))", "(6 / fan_in)",
        {"ps3-relu-bound-test": "keeps the signal alone"},
    ),
    "the root for the bound": (
        "ps3-relu-bound", "12", "4", {"ps3-relu-bound-test": "Which variance has U[-a, a]?"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    assignment.check_mistake(SOURCE, MISTAKES[name])


def test_every_part_can_be_earned_alone():
    assignment.check_alone(SOURCE, OTHERWISE)


def test_published_numbers_and_stored_answers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    values = sources.draw(SOURCE, assignment.SECRET).setting
    sizes = values["sizes"]
    v = ps3.variances(sizes, values["seed"])
    stored = ps3.forward_variances(sizes, v, values["mean_square"]).tolist()
    numbers = {
        "ps3-down": f"down = {ps3.down(published['sizes'])}",
        "ps3-up": f"up = {ps3.up(published['sizes'])}",
    }
    assignment.check_published(SOURCE, numbers)
    answers = {
        "ps3-forward": f"def forward_variances(*given): return torch.tensor({stored})",
        "ps3-relu-bound": f"def relu_bound(*given): return {ps3.relu_bound(*sizes[:2])}",
    }
    assert {f"{name}-test" for name in answers} <= set(assignment.failed(SOURCE, answers))


def test_a_careless_kernel_costs_nothing():
    """Names of the tests are taken, the setting is changed, the library's functions replaced."""
    careless = """
setting["sizes"] = [3, 4]
from course_lib.classroom.references import ps3 as answers
answers.forward_variances = answers.relu_mean_squares = lambda *given: 0
checks = fresh = sizes = 7
"""
    original = ps3.forward_variances, ps3.relu_mean_squares
    try:
        sizes = sources.draw(SOURCE, assignment.SECRET).setting["sizes"]
        mine = {"ps3-backward": assignment.solutions(SOURCE)["ps3-backward"] + careless}
        mine["ps3-down"] = f"down = {ps3.down(sizes)}"
        mine["ps3-up"] = f"up = {ps3.up(sizes)}"
        found = assignment.failed(SOURCE, mine)
    finally:
        ps3.forward_variances, ps3.relu_mean_squares = original
    assert found == {}


def test_numbers_of_the_written_answer():
    """100 components of one sign, and of two: by formula, and by drawing the weights."""
    v, mu, units = 0.01, 0.05, 40_000
    w = mu + v**0.5 * torch.randn(100, units, generator=torch.Generator().manual_seed(1))
    signs = torch.tensor([1.0, -1.0]).repeat(50)
    for z, right in ((torch.ones(100), 26), (signs, 1)):
        assert v * float(z.square().sum()) + mu**2 * float(z.sum()) ** 2 == pytest.approx(right)
        squares = (z @ w).square()
        assert abs(squares.mean() - right) < 5 * squares.std() / units**0.5


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps3-forward", "from course_lib.classroom.references import ps3 as a", "references"),
        ("ps3-backward", "backward_variances = ps3.backward_variances", "ps3.backward_variances"),
        ("ps3-forward", "from course_lib import theory", "theory"),
        ("ps3-truncated", "w = torch.nn.init.uniform_(w)", "nn.init"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    assignment.check_flagged(SOURCE, cell, code, word)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)


def test_tests_leave_the_names_of_the_notebook_alone():
    assignment.check_names(SOURCE)
