"""Assignment 5, graded: each answer gets its points, and a mistake costs only where it is made."""

import math

import assignment
import numpy as np
import pytest
import torch

from course_lib import theory
from course_lib.classroom import sources
from course_lib.classroom.references import ps5

SOURCE = sources.read(sources.find("ps5"))
SOLUTIONS = assignment.solutions(SOURCE)
# Everything once more in another way, as it may come from a student.
OTHERWISE = {
    "ps5-layer": """
import numpy as np
def layer_matrix(weight, bias, z, activation):
    n, m = weight.shape
    above = activation.function(bias + torch.einsum("l,lk->k", z, weight))
    slope = activation.slope(above).tolist()
    rows = [[slope[k] * float(weight[l, k]) for l in range(n)] for k in range(m)]
    return torch.tensor(rows, dtype=torch.float64)
""",
    "ps5-differences": """
def matrix_by_differences(function, z, h):
    z = z.clone()
    rows = np.zeros((len(function(z)), len(z)))
    for l in range(len(z)):
        z[l] += h
        up = function(z).clone()
        z[l] -= 2 * h
        rows[:, l] = ((up - function(z)) / (2 * h)).numpy()
        z[l] += h
    return rows
""",
    "ps5-chain": """
def chain_matrix(weights, biases, z, activation, first, last):
    answer = np.eye(len(z[first]))
    for i in range(first, last + 1):
        above = activation.function(z[i] @ weights[i] + biases[i])
        answer = np.diag(activation.slope(above)) @ weights[i].numpy().T @ answer
    return answer
""",
    "ps5-averages": """
def averages(matrix):
    s = np.linalg.svd(matrix.numpy(), compute_uv=False)
    return [s.mean(), np.sqrt((s**2).mean()), np.exp(np.log(s).mean())]
""",
    "ps5-predicted": 'predicted = torch.tensor(0.84883 * setting["strength"] ** 0.5)',
    "ps5-deviation": """
s = np.linalg.svd(ps5.square(setting).numpy())[1]
deviation = round((s.mean() - predicted.item()) / predicted.item() * 100, 2)
""",
    "ps5-linear-gain": """
net = ps5.example(setting)
def mean_of(g):
    return torch.linalg.svdvals(torch.linalg.multi_dot([g * w for w in net.weights])).mean()
low, high = 0.1, 10.0
while high - low > 1e-9:
    linear_gain = (low + high) / 2
    if mean_of(linear_gain) > 1:
        high = linear_gain
    else:
        low = linear_gain
""",
    "ps5-stretch": """
M = torch.linalg.multi_dot([linear_gain * w for w in net.weights])
stretch = float(np.sqrt(np.trace(M @ M.T) / M.shape[0]))
""",
    "ps5-tanh-gain": """
import bisect
def mean(gain):
    ws = [gain * w for w in net.weights]
    act = type(net.activation) and __import__("course_lib.activations").activations.get("tanh")
    z = ps5.forward(ws, net.biases, net.z[0], act)
    return averages(torch.as_tensor(chain_matrix(ws, net.biases, z, act, 0, 2)))[0]
grid = [0.5 + k / 1000 for k in range(1500)]
tanh_gain = grid[bisect.bisect([*map(mean, grid[::10])], setting["target"]) * 10 - 10]
while mean(tanh_gain) < setting["target"]:
    tanh_gain += 0.0003
""",
    "ps5-share": """
def share_below(matrix, part):
    s = np.linalg.svd(np.asarray(matrix), compute_uv=False)
    return sum(s < part * np.linalg.norm(s) / len(s) ** 0.5) / len(s)
""",
    "ps5-shares": """
from course_lib import activations
def share(weights):
    tanh, zero = activations.get("tanh"), [0] * len(weights)
    z = ps5.forward(weights, zero, deep.random.z[0], tanh)
    return share_below(chain_matrix(weights, zero, z, tanh, 0, len(weights) - 1), setting["part"])
deep = ps5.deep(setting)
random_share, orthogonal_share = share(deep.random.weights), share(deep.orthogonal.weights)
""",
}


def test_reference_is_the_librarys_jacobian():
    """Eq. (17) and autograd, the law and its sampling, the gains and what they should bring about.

    The mean over 300 singular values scatters by some 0.1 % about the law's.
    """
    values = sources.draw(SOURCE).setting
    net = ps5.example(values)
    for weight, bias, z in zip(net.weights, net.biases, net.z, strict=False):
        exact = torch.func.jacrev(lambda z: net.activation.function(z @ weight + bias))(z)  # noqa: B023
        mine = ps5.layer_matrix(weight, bias, z, net.activation)
        torch.testing.assert_close(mine, exact, rtol=0, atol=1e-14)

    def network(z):
        return ps5.forward(net.weights, net.biases, z, net.activation)[-1]

    whole = ps5.chain_matrix(net.weights, net.biases, net.z, net.activation, 0, 2)
    torch.testing.assert_close(whole, torch.func.jacrev(network)(net.z[0]), rtol=0, atol=1e-14)
    mean, rms, geometric = ps5.averages(torch.diag(torch.tensor([1.0, 4.0])))
    assert (mean, rms, geometric) == pytest.approx((2.5, math.sqrt(8.5), 2))
    assert abs(ps5.deviation(values)) < 1
    law = theory.SingularValueLaw(9, 9, values["strength"] / 9)
    assert ps5.quarter_circle(values) == pytest.approx(law.mean)
    product = torch.linalg.multi_dot([ps5.linear_gain(values) * weight for weight in net.weights])
    assert float(torch.linalg.svdvals(product).mean()) == pytest.approx(1)
    v = torch.randn(100_000, len(product), generator=torch.Generator().manual_seed(0)).double()
    lengths = (v @ product).square().sum() / v.square().sum()
    assert ps5.stretch(values) == pytest.approx(float(lengths.sqrt()), rel=0.01)
    assert ps5.mean_at(values, ps5.tanh_gain(values)) == pytest.approx(values["target"])


@pytest.mark.parametrize("secret", range(30))
def test_every_draw_shows_what_is_asked(secret):
    """Wide and tall matrices, more directions than singular values, averages that differ."""
    setting, drawn = sources.draw(SOURCE, f"class {secret}")
    for sizes in (setting["sizes"], drawn["sizes"]):
        pairs = list(zip(sizes, sizes[1:], strict=False))
        assert any(n < m for n, m in pairs[:2]) and any(n > m for n, m in pairs[:2])
        assert len(set(sizes)) == len(sizes)
    first, *_, last = setting["sizes"]
    assert first > 1.2 * last == 1.2 * min(setting["sizes"])
    assert 150 <= setting["width"]


@pytest.mark.parametrize("secret", range(4))
def test_likely_mistakes_lead_elsewhere_at_any_draw(secret):
    """At every draw the hints are no right answers, by more than a test's tolerance."""
    values = sources.draw(SOURCE, f"class {secret}").setting
    for right, hints, tolerance in (
        (ps5.quarter_circle(values), ps5.mistaken_circle(values), 6e-5),
        (ps5.deviation(values), ps5.mistaken_deviation(values), 0.05),
        (ps5.linear_gain(values), ps5.mistaken_linear_gain(values), 6e-4),
        (ps5.stretch(values), ps5.mistaken_stretch(values), 6e-4),
        (ps5.tanh_gain(values), ps5.mistaken_tanh_gain(values), 1.2e-3),
    ):
        assert len(hints) >= 4
        close = [why for wrong, why in hints if math.isclose(wrong, right, rel_tol=tolerance)]
        assert set(close) <= {"Only the weights get the gain, not the biases."}


@pytest.mark.parametrize("secret", range(12))
def test_the_mean_rises_with_the_gain_in_every_class(secret):
    """So that there is one gain, and bisection finds it."""
    values = sources.draw(SOURCE, f"class {secret}").setting
    means = np.array([ps5.mean_at(values, gain) for gain in np.arange(0.5, 2.05, 0.1)])
    until = np.argmax(means > values["target"])
    assert (
        means[0] < values["target"] < means[until:].min()
        and (np.diff(means[: until + 1]) > 0).all()
    )


def test_the_model_answers_share_is_that_of_the_published_setting():
    values = sources.draw(SOURCE).setting
    random, orthogonal = ps5.shares(values)
    text = "\n".join(cell.source for cell in SOURCE.notebook.cells)
    assert f"in ours {100 * random:.0f} % of the directions" in text and orthogonal < random / 3


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_solutions_earn_all_points_in_every_class(secret):
    assignment.check_all_points(SOURCE, secret)


def test_blank_earns_nothing_and_says_so():
    words = {
        "ps5-chain-test": "chain_matrix is not written yet.",
        "ps5-stretch-test": "there is no stretch yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_tests_leave_a_students_names_alone():
    assignment.check_names(SOURCE)


def test_any_correct_way_passes():
    assignment.check_another_way(SOURCE, OTHERWISE)
    assignment.check_another_way(SOURCE, LISTS)


# Numbers by hand, steps of half the width to either side: right, too.
LISTS = {
    "ps5-layer": OTHERWISE["ps5-layer"].replace("torch.tensor(rows, dtype=torch.float64)", "rows"),
    "ps5-differences": """
def matrix_by_differences(function, z, h):
    columns = []
    for l in range(len(z)):
        step = torch.zeros_like(z)
        step[l] = h / 2
        columns.append(((function(z + step) - function(z - step)) / h).tolist())
    return [list(row) for row in zip(*columns)]
""",
    "ps5-chain": OTHERWISE["ps5-chain"].replace("return answer", "return answer.tolist()"),
    "ps5-averages": """
def averages(matrix):
    s = torch.linalg.svdvals(matrix).tolist()
    return [[sum(s) / len(s)], sum(v * v for v in s) ** 0.5 / len(s) ** 0.5,
            math.exp(sum(map(math.log, s)) / len(s))]
""",
    "ps5-linear-gain": "linear_gain = float(f'{ps5.linear_gain(setting):.4g}')",
    "ps5-stretch": "stretch = float(f'{ps5.stretch(setting):.4g}')",
    "ps5-predicted": "predicted = float(f'{ps5.quarter_circle(setting):.5g}')",
    "ps5-deviation": "deviation = float(f'{ps5.deviation(setting):.2g}')",
    "ps5-tanh-gain": "tanh_gain = torch.tensor([round(ps5.tanh_gain(setting), 3)])",
}
MISTAKES = {
    "units below as rows": (
        "ps5-layer", "activation.slope(above)[:, None] * weight.T",
        "weight * activation.slope(above)",
        {"ps5-layer-test": "transpose", "ps5-slope-test": "transpose"},
    ),
    "slopes on the other side": (
        "ps5-layer", "activation.slope(above)[:, None] * weight.T",
        "weight.T * activation.slope(z)",
        {"ps5-layer-test": "", "ps5-slope-test": ""},
    ),
    "no slope": (
        "ps5-layer", "activation.slope(above)[:, None] * ", "",
        {"ps5-layer-test": "", "ps5-slope-test": ""},
    ),
    "no bias": (
        "ps5-layer", " + bias", "",
        {"ps5-layer-test": "", "ps5-slope-test": ""},
    ),
    "the slope at s": (
        "ps5-layer", "above = activation.function(z @ weight + bias)", "above = z @ weight + bias",
        {"ps5-layer-test": "", "ps5-slope-test": ""},
    ),
    "always the slope of tanh": (
        "ps5-layer", "activation.slope(above)", "(1 - above**2)", {"ps5-slope-test": ""},
    ),
    "rows for columns": (
        "ps5-differences", "torch.stack(columns, 1)", "torch.stack(columns)",
        {"ps5-difference-test": "transpose", "ps5-central-test": "transpose"},
    ),
    "a step to one side": (
        "ps5-differences", "- function(z - step)) / (2 * h)", "- function(z)) / h",
        {"ps5-central-test": "to one side only"},
    ),
    "half the width": (
        "ps5-differences", "/ (2 * h)", "/ h",
        {"ps5-difference-test": "2 times", "ps5-central-test": "2 times"},
    ),
    "by the formula": (
        "ps5-differences", "    columns = []",
        "    return torch.autograd.functional.jacobian(function, z)\n    columns = []",
        {"ps5-difference-test": "is h used", "ps5-central-test": "is h used"},
    ),
    "a width of its own": (
        "ps5-differences", "    columns = []", "    h, columns = 1e-6, []",
        {"ps5-difference-test": "is h used", "ps5-central-test": "is h used"},
    ),
    "all at once": (
        "ps5-differences", "    columns = []",
        "    return (function(z + h * torch.eye(len(z))) - function(z)) / h\n    columns = []",
        {"ps5-difference-test": "one vector at a time", "ps5-central-test": "one vector at a time"},
    ),
    "the other order": (
        "ps5-chain", "layer_matrix(weights[i], biases[i], z[i], activation) @ found",
        "found @ layer_matrix(weights[i], biases[i], z[i], activation)",
        {"ps5-chain-test": "sizes differ", "ps5-middle-test": "sizes differ"},
    ),
    "always the whole chain": (
        "ps5-chain", "found = layer_matrix(weights[first]",
        "first, last = 0, len(weights) - 1\n    found = layer_matrix(weights[first]",
        {"ps5-middle-test": "shape"},
    ),
    "always from the first": (
        "ps5-chain", "biases[i], z[i], activation)", "biases[i], z[first], activation)",
        {"ps5-chain-test": "entries", "ps5-middle-test": "entries"},
    ),
    "the last layer left out": (
        "ps5-chain", "range(first + 1, last + 1)", "range(first + 1, last)",
        {"ps5-chain-test": "shape", "ps5-middle-test": "shape"},
    ),
    "the root mean square as the mean": (
        "ps5-averages", "return values.mean(),", "return values.square().mean().sqrt(),",
        {"ps5-mean-test": "what it should be"},
    ),
    "zeros counted": (
        "ps5-averages", "values.mean(),", "values.sum() / len(matrix),",
        {"ps5-mean-test": "what it should be"},
    ),
    "a product that underflows": (
        "ps5-averages", "values.log().mean().exp()", "values.prod() ** (1 / len(values))",
        {"ps5-other-averages-test": "150 small ones is 0"},
    ),
    "rows counted": (
        "ps5-averages", "values.square().mean().sqrt()",
        "(values.square().sum() / len(matrix)).sqrt()", {"ps5-other-averages-test": "root mean sq"},
    ),
    "rows counted in the geometric mean": (
        "ps5-averages", "values.log().mean()", "(values.log().sum() / len(matrix))",
        {"ps5-other-averages-test": "geometric mean of W^1"},
    ),
    "zeros of the square": (
        "ps5-averages", "torch.linalg.svdvals(matrix)",
        "torch.linalg.eigvalsh(matrix @ matrix.T).clamp(min=1e-30).sqrt()",
        {"ps5-mean-test": "the mean", "ps5-other-averages-test": ""},
    ),
    "something small under the logarithm": (
        "ps5-averages", "values.log()", "(values + 1e-12).log()",
        {"ps5-other-averages-test": "150 small ones"},
    ),
    "only one number": (
        "ps5-averages", ", values.square().mean().sqrt(), values.log().mean().exp()", "",
        {"ps5-mean-test": "return 3", "ps5-other-averages-test": "return 3"},
    ),
    "sigma for its square": (
        "ps5-predicted", 'math.sqrt(setting["strength"])', 'setting["strength"]',
        {"ps5-predicted-test": "sigma is a root"},
    ),
    "the rounded factor": (
        "ps5-predicted", "8 * math.sqrt(setting[\"strength\"]) / (3 * math.pi)",
        "0.849 * math.sqrt(setting[\"strength\"])", {"ps5-predicted-test": "0.849 is rounded"},
    ),
    "rounded": (
        "ps5-predicted", None, "predicted = float(f'{ps5.quarter_circle(setting):.3g}')",
        {"ps5-predicted-test": "Right to 3 digits; five are asked for."},
    ),
    "measured in the place of predicted": (
        "ps5-predicted", None, "predicted = torch.linalg.svdvals(ps5.square(setting)).mean()",
        {"ps5-predicted-test": "the measured mean"},
    ),
    "divided by the width": (
        "ps5-predicted", "math.sqrt(setting[\"strength\"])",
        "math.sqrt(setting[\"strength\"] / setting[\"width\"])",
        {"ps5-predicted-test": "n Var[W] already"},
    ),
    "the other way round": (
        "ps5-deviation", "deviation = 100", "deviation = -100",
        {"ps5-deviation-test": "The other way round"},
    ),
    "not in per cent": (
        "ps5-deviation", "deviation = 100 * ", "deviation = ",
        {"ps5-deviation-test": "In per cent"},
    ),
    "the gain of the product": (
        "ps5-linear-gain", "** (-1 / len(net.weights))", "** -1",
        {"ps5-linear-gain-test": "Each of its 3 matrices"},
    ),
    "the mean taken for the stretch": (
        "ps5-stretch", None, "stretch = 1.0",
        {"ps5-stretch-test": "what becomes of lengths"},
    ),
    "the root mean square taken for the stretch": (
        "ps5-stretch", "len(stretch)", "min(stretch.shape)",
        {"ps5-stretch-test": "components along directions that have none"},
    ),
    "the length of what leaves": (
        "ps5-stretch", "len(stretch)", "stretch.shape[1]",
        {"ps5-stretch-test": "components along directions that have none"},
    ),
    "the target of the root mean square": (
        "ps5-tanh-gain", "svdvals(whole).mean()", "svdvals(whole).square().mean().sqrt()",
        {"ps5-tanh-gain-test": "holds the root mean square"},
    ),
    "a mean of 1": (
        "ps5-tanh-gain", 'setting["target"]', "1", {"ps5-tanh-gain-test": "where the mean is 1"},
    ),
    "the gain on biases, too": (
        "ps5-tanh-gain", "net.biases, net.z[0]", "[gain * b for b in net.biases], net.z[0]",
        {"ps5-tanh-gain-test": "not the biases"},
    ),
    "slopes that stay": (
        "ps5-tanh-gain", "ps5.forward(weights,", "ps5.forward(net.weights,",
        {"ps5-tanh-gain-test": "go forward again"},
    ),
    "part of the largest": (
        "ps5-share", "values.square().mean().sqrt()", "values.max()",
        {"ps5-share-test": "part of the largest"},
    ),
    "part of the mean": (
        "ps5-share", "values.square().mean().sqrt()", "values.mean()",
        {"ps5-share-test": "Which average"},
    ),
    "rows counted in the share": (
        "ps5-share", ".double().mean()", ".double().sum() / len(matrix)",
        {"ps5-share-test": "singular values, not more"},
    ),
    "rows counted in the root mean square": (
        "ps5-share", "values.square().mean().sqrt()",
        "(values.square().sum() / len(matrix)).sqrt()",
        {"ps5-share-test": "not over rows or columns"},
    ),
    "columns counted in the root mean square": (
        "ps5-share", "values.square().mean().sqrt()",
        "(values.square().sum() / matrix.shape[1]).sqrt()",
        {"ps5-share-test": "not over rows or columns"},
    ),
    "the other network": (
        "ps5-shares", "jacobian_of(deep.random)", "jacobian_of(deep.orthogonal)",
        {"ps5-shares-test": "orthogonal weights"},
    ),
}  # fmt: skip
# The solutions of these cells call functions of earlier parts; these do not.
ALONE = {
    "ps5-shares": SOLUTIONS["ps5-shares"].replace("share_below(", "own_share(").replace(
        "### END SOLUTION", "").replace("def jacobian_of", """def own_share(matrix, part):
    s = torch.linalg.svdvals(matrix)
    return (s < part * s.square().mean().sqrt()).double().mean()

def jacobian_of"""),
    "ps5-stretch": """
stretch = torch.linalg.multi_dot(net.weights)
mean = torch.linalg.svdvals(stretch).mean()
stretch = ((stretch / mean).square().sum() / len(stretch)).sqrt().item()
""",
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    assignment.check_mistake(SOURCE, MISTAKES[name], ALONE)


def test_the_chain_can_be_earned_without_the_layer():
    found = assignment.failed(SOURCE, {"ps5-layer": None})
    assert list(found) == ["ps5-layer-test", "ps5-slope-test"]


def test_stored_answers_of_the_visible_tests_earn_nothing():
    values = sources.draw(SOURCE, assignment.SECRET).setting
    net = ps5.example(values, activation="tanh")
    stored = [
        ps5.layer_matrix(*given, net.activation).tolist()
        for given in zip(net.weights, net.biases, net.z, strict=False)
    ]
    answer = (
        f"def layer_matrix(weight, bias, z, activation):\n    known = {stored}\n"
        "    return next(m for m in known if len(m) == len(bias))"
    )
    said = assignment.marked(SOURCE, {"ps5-layer": answer})
    assert said["ps5-layer-test"] and said["ps5-slope-test"]


def test_published_numbers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    shares = ps5.shares(published)
    answers = {
        "ps5-predicted": f"predicted = {ps5.quarter_circle(published)}",
        "ps5-deviation": f"deviation = {ps5.deviation(published)}",
        "ps5-linear-gain": f"linear_gain = {ps5.linear_gain(published)}",
        "ps5-stretch": f"stretch = {ps5.stretch(published)}",
        "ps5-tanh-gain": f"tanh_gain = {ps5.tanh_gain(published)}",
        "ps5-shares": f"random_share, orthogonal_share = {shares}",
    }
    assignment.check_published(SOURCE, answers)


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps5-layer", "from course_lib import jacobian", "import jacobian"),
        ("ps5-chain", "def chain_matrix(*x): return ps5.chain_matrix(*x)", "ps5.chain_matrix"),
        ("ps5-differences", "from torch.func import jacrev", "jacrev"),
        ("ps5-share", "from course_lib.classroom import references", "references"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    assignment.check_flagged(SOURCE, cell, code, word)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)
