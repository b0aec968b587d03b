"""Assignment 3, graded: each answer gets its points, and a mistake costs only where it is made."""

import math
import re

import assignment
import numpy as np
import pytest
import torch

from course_lib import theory
from course_lib.classroom import sources
from course_lib.classroom.references import ps3

SOURCE = sources.read(sources.find("ps3"))
SOLUTIONS = {
    cell.id: cell.source for cell in sources.drawn(SOURCE).cells if cell.cell_type == "code"
}
NUMPY = {
    "ps3-forward": """
import numpy as np
def forward_variances(sizes, variances, mean_square):
    factors = np.array(sizes[:-2]) * np.array(variances[:-1])
    return mean_square * np.concatenate([[1.0], np.cumprod(factors)])
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
    "ps3-fall": """
fall = 1
for n, m in zip(setting["sizes"][1:], setting["sizes"][2:]):
    fall *= torch.tensor(m / (3 * n))
""",
    "ps3-weight-variance": """
def weight_variance(rule, fan_in, fan_out):
    size = {"forward": fan_in, "backward": fan_out, "compromise": (fan_in + fan_out) / 2}[rule]
    return torch.tensor(1.0) / size
""",
    "ps3-rise": """
import math
n = setting["sizes"]
rise = math.prod(2 * n[i] / (n[i] + n[i + 1]) for i in range(len(n) - 2))
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
    "ps3-deviation": """
import numpy as np
def deviation(samples, expected):
    samples = samples.numpy()
    return float((samples.mean() - expected) / samples.std() * np.sqrt(samples.size))
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
TESTS = [name for name in SOURCE.points if name.endswith("-test")]


def test_reference_is_that_of_theory_and_of_sampling():
    sizes = [30, 12, 40, 9]
    v = ps3.weights(sizes, 3)
    assert np.isclose(ps3.forward_variances(sizes, v, 0.5)[2], 0.5 * 30 * v[0] * 12 * v[1])
    assert np.isclose(ps3.backward_variances(sizes, v, 0.1)[0], 0.1 * 40 * v[1] * 9 * v[2])
    assert ps3.fall(sizes) == pytest.approx(9 / 12 / 3**2)
    assert ps3.rise(sizes) == pytest.approx(60 / 42 * 24 / 52)
    assert ps3.relu_bound(30, 12) == pytest.approx(math.sqrt(2) * theory.normalized_bound(30, 12))
    # Rectified networks, sampled: each with its own weights and input, 5 standard errors.
    generator, networks = torch.Generator().manual_seed(1), 4000
    z = 0.5**0.5 * torch.randn(networks, 1, 30, generator=generator)
    for i in range(2):
        shape = networks, sizes[i], sizes[i + 1]
        z = (v[i] ** 0.5 * z @ torch.randn(shape, generator=generator)).clamp(min=0)
        squares = z.square().mean((1, 2))
        right = ps3.relu_mean_squares(sizes, v, 0.5)[i + 1]
        assert abs(ps3.deviation(squares, right)) < 5


def test_variance_that_a_cut_leaves():
    x = torch.linspace(-2, 2, 200_001, dtype=torch.float64)
    density = torch.exp(-(x**2) / 2)
    assert float((x**2 * density).sum() / density.sum()) == pytest.approx(ps3.LEFT, abs=1e-4)
    w = torch.empty(1000, 1000, dtype=torch.float64)
    torch.nn.init.trunc_normal_(w, a=-2, b=2, generator=torch.Generator().manual_seed(0))
    assert float(w.var()) == pytest.approx(ps3.LEFT, rel=0.006)  # 5 times sqrt(1.4 / 10^6)
    moved = torch.randn(1000, 1000, generator=torch.Generator().manual_seed(0)).clamp(-2, 2)
    assert float(moved.var()) == pytest.approx(0.9196, rel=0.006)


@pytest.mark.parametrize("secret", ["", assignment.SECRET, "another class"])
def test_solutions_earn_all_points_in_every_class(secret):
    said = assignment.marked(SOURCE, secret=secret)
    assert {name: found for name, found in said.items() if found} == {}
    assert sum(SOURCE.points[name] for name in said) == 16, "the rest is the written answer"


def test_right_draws_are_accepted_whatever_the_seed():
    """5 standard errors on each of some ten numbers: none of 60 right answers fails."""
    namespace = {"torch": torch, "np": np}
    for name in ("uniform", "truncated", "sample"):
        exec(SOLUTIONS[f"ps3-{name}"], namespace)
    sizes = [20, 31, 25, 20]
    v = ps3.weights(sizes, 1)
    expected = ps3.forward_variances(sizes, v, 0.3)
    for seed in range(20):
        w = namespace["draw_uniform"](120, 126, 0.01, seed)
        assert not ps3.spread_off(w, 120, 126, 0.01) and not ps3.uniform_off(w, 120, 126, 0.01)
        w = namespace["draw_truncated"](120, 126, 0.01, seed)
        assert not ps3.spread_off(w, 120, 126, 0.01) and not ps3.truncated_off(w, 120, 126, 0.01)
        squares = namespace["sample_networks"](sizes, v, 0.3, 300, seed)
        assert not ps3.sample_off(squares, sizes, expected, 300)


def test_blank_earns_nothing_and_says_so():
    said = assignment.marked(SOURCE, assignment.blank(SOURCE))
    assert all(said.values())
    assert said["ps3-truncated-law-test"] == "draw_truncated is not written yet."
    assert "there is no rise yet" in said["ps3-rise-test"]


def test_any_correct_way_passes():
    assert assignment.marked(SOURCE, NUMPY) == dict.fromkeys(TESTS, "")


def test_cells_without_points_take_arrays_as_well_as_tensors():
    namespace = {}
    for cell in assignment.submission(SOURCE, NUMPY).cells:
        if cell.cell_type == "code" and cell.id not in SOURCE.points:
            exec(cell.source, namespace)


# Each mistake: the cell, what is replaced by what, the tests that it fails, words of what they say.
MISTAKES = {
    "fan-out on the way up": (
        "ps3-forward", "zip(sizes[:-2], variances)", "zip(sizes[1:-1], variances)",
        {"ps3-forward-test": "right in 1 of its 4"},
    ),
    "the logits, too": (
        "ps3-forward", "zip(sizes[:-2], variances)", "zip(sizes[:-1], variances)",
        {"ps3-forward-test": "shape (5,)"},
    ),
    "no mean square": (
        "ps3-forward", "[mean_square]", "[1.0]", {"ps3-forward-test": "right but for a factor"},
    ),
    "fan-in on the way down": (
        "ps3-backward", "sizes[i + 1]", "sizes[i]", {"ps3-backward-test": "right in 1 of its 4"},
    ),
    "as the paper prints it": (
        "ps3-backward", "range(len(variances) - 1, 0, -1)", "range(len(variances) - 1, -1, -1)",
        {"ps3-backward-test": "shape (5,)"},
    ),
    "one matrix too low": (
        "ps3-backward", "sizes[i + 1] * variances[i]", "sizes[i] * variances[i - 1]",
        {"ps3-backward-test": "right in 1 of its 4"},
    ),
    "from the bottom": (
        "ps3-backward", "torch.tensor(found, ", "torch.tensor(found[::-1], ",
        {"ps3-backward-test": ""},
    ),
    "a third in every matrix": (
        "ps3-fall", "sizes[-1] / sizes[1] / 3", "1 / 3", {"ps3-fall-test": "or is that fan-in"},
    ),
    "one matrix too many": (
        "ps3-fall", "sizes[-1] / sizes[1] / 3 ** (len(sizes) - 2)",
        "sizes[-1] / sizes[0] / 3 ** (len(sizes) - 1)", {"ps3-fall-test": "one matrix too many"},
    ),
    "upside down": (
        "ps3-fall", "sizes[-1] / sizes[1] / 3 **", "sizes[1] / sizes[-1] * 3 **",
        {"ps3-fall-test": "other way round"},
    ),
    "the rules exchanged": (
        "ps3-weight-variance", 'rule == "forward"', 'rule != "forward"',
        {"ps3-weight-variance-test": "the forward rule"},
    ),
    "the mean of the variances": (
        "ps3-weight-variance", "2 / (fan_in + fan_out)", "(1 / fan_in + 1 / fan_out) / 2",
        {"ps3-weight-variance-test": "the compromise rule"},
    ),
    "on to the logits": (
        "ps3-rise", "zip(sizes[:-2], sizes[1:])", "zip(sizes, sizes[1:])",
        {"ps3-rise-test": "which matrix leads to z^d"},
    ),
    "fan-out in the product": (
        "ps3-rise", "2 * fan_in", "2 * fan_out", {"ps3-rise-test": "which of a matrix's two sizes"},
    ),
    "the root as the bound": (
        "ps3-uniform", "(3 * variance)", "variance",
        {"ps3-uniform-variance-test": "which variance has u[-a, a]",
         "ps3-uniform-law-test": "not uniform"},
    ),
    "from 0 on": (
        "ps3-uniform", "dtype=torch.float64) - 1)", "dtype=torch.float64))",
        {"ps3-uniform-variance-test": "the mean", "ps3-uniform-law-test": "outside"},
    ),
    "the transposed weight": (
        "ps3-uniform", "torch.rand(fan_in, fan_out,", "torch.rand(fan_out, fan_in,",
        {"ps3-uniform-variance-test": "the transpose", "ps3-uniform-law-test": "the transpose"},
    ),
    "a Gaussian for uniform": (
        "ps3-uniform", "return a * (",
        "return a * torch.randn(fan_in, fan_out, generator=generator) / 3**0.5\n    (",
        {"ps3-uniform-law-test": "outside of"},
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
        "ps3-truncated", "(variance / left) ** 0.5", "variance ** 0.5",
        {"ps3-truncated-variance-test": "the cut takes the largest draws away",
         "ps3-truncated-law-test": "within one standard deviation"},
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
        "ps3-sample", "v**0.5 * w", "v * w", {"ps3-sample-test": "the mean square of z^1"},
    ),
    "one network for all": (
        "ps3-sample", "torch.randn(networks, fan_in, fan_out,", "torch.randn(1, fan_in, fan_out,",
        {"ps3-sample-test": ""},
    ),
    "means of the logits": (
        "ps3-sample", "zip(variances, sizes[:-2],",
        "zip(variances, sizes[:-1],",
        {"ps3-sample-test": "shape"},
    ),
    "standard deviations": (
        "ps3-deviation", " / len(samples) ** 0.5", "",
        {"ps3-deviation-test": "of one network, not of the mean"},
    ),
    "the wrong sign": (
        "ps3-deviation", "(samples.mean() - expected)", "(expected - samples.mean())",
        {"ps3-deviation-test": "positive where the sample is too large"},
    ),
    "a linear unit": (
        "ps3-relu", "* v / 2", "* v", {"ps3-relu-test": "right in 1 of its 4"},
    ),
    "the variance of z": (
        "ps3-relu", "* v / 2", "* v * (0.5 - 0.5 / torch.pi)",
        {"ps3-relu-test": "right in 1 of its 4"},
    ),
    "the bound of linear units": (
        "ps3-relu-bound", "12", "6", {"ps3-relu-bound-test": "0.707 times"},
    ),
    "the variance for the bound": (
        "ps3-relu-bound", "(12 / (fan_in + fan_out)) ** 0.5", "4 / (fan_in + fan_out)",
        {"ps3-relu-bound-test": "factor"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    cell, good, bad, failing = MISTAKES[name]
    solution = SOLUTIONS[cell]
    assert good in solution
    said = assignment.marked(SOURCE, {cell: solution.replace(good, bad)})
    failed = {test: found for test, found in said.items() if found}
    assert set(failed) == set(failing)
    for test, words in failing.items():
        assert words in failed[test].lower(), failed[test]
        assert not re.search(r"Traceback|tensor\(", failed[test])


def test_every_part_can_be_earned_alone():
    ids = [cell.id for cell in sources.drawn(SOURCE).cells]
    for name, answer in NUMPY.items():
        said = assignment.marked(SOURCE, assignment.blank(SOURCE) | {name: answer})
        own, after = [], ids[ids.index(name) + 1 :]
        for test in after:
            if test in NUMPY:
                break
            own += [test] if test in TESTS else []
        assert [test for test, found in said.items() if not found] == own, name


def test_published_numbers_and_stored_answers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    values = sources.draw(SOURCE, assignment.SECRET).setting
    sizes = values["sizes"]
    v = ps3.weights(sizes, values["seed"])
    stored = ps3.forward_variances(sizes, v, values["mean_square"]).tolist()
    answers = {
        "ps3-fall": f"fall = {ps3.fall(published['sizes'])}",
        "ps3-rise": f"rise = {ps3.rise(published['sizes'])}",
        "ps3-forward": f"def forward_variances(*given): return torch.tensor({stored})",
        "ps3-relu-bound": f"def relu_bound(*given): return {ps3.relu_bound(*sizes[:2])}",
    }
    said = assignment.marked(SOURCE, answers)
    assert all(said[f"{name}-test"] for name in answers)
    numbers = {name: answers[name] for name in ("ps3-fall", "ps3-rise")}
    assert not any(assignment.marked(SOURCE, numbers, secret="").values())


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
        mine = {"ps3-backward": SOLUTIONS["ps3-backward"] + careless}
        mine["ps3-fall"] = f"fall = {ps3.fall(sizes)}"
        mine["ps3-rise"] = f"rise = {ps3.rise(sizes)}"
        said = assignment.marked(SOURCE, mine)
    finally:
        ps3.forward_variances, ps3.relu_mean_squares = original
    assert [name for name, found in said.items() if found] == []


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps3-forward", "from course_lib.classroom.references import ps3 as a", "references"),
        ("ps3-backward", "backward_variances = ps3.backward_variances", "ps3.backward_variances"),
        ("ps3-forward", "from course_lib import theory", "theory"),
        ("ps3-truncated", "w = torch.nn.init.trunc_normal_(w)", "nn.init"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    lines = sources.flagged(SOURCE, assignment.submission(SOURCE, {cell: code}))
    assert f"{cell} uses {word}" in lines


def test_own_work_is_not_flagged():
    assert sources.flagged(SOURCE, assignment.submission(SOURCE)) == []
    assert sources.flagged(SOURCE, assignment.submission(SOURCE, NUMPY)) == []
