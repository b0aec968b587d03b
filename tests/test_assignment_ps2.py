"""Assignment 2, graded: each answer gets its points, and a mistake costs only where it is made."""

import assignment
import pytest
import torch

from course_lib import backprop, models
from course_lib.classroom import sources
from course_lib.classroom.references import ps2

SOURCE = sources.read(sources.find("ps2"))
OTHERWISE = {
    "ps2-output-delta": """
import numpy as np
def output_delta(logits, labels):
    s = logits.numpy()
    e = np.exp(s - s.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    for row, label in enumerate(labels):
        p[row, int(label)] -= 1
    return p.tolist()
""",
    "ps2-step-back": """
def step_back(delta, weight, z, activation):
    rows = []
    for b in range(len(z)):
        slope = activation.slope(z[b])
        rows.append([sum(weight[k, m] * delta[b][m] for m in range(weight.shape[1])) * slope[k]
                     for k in range(weight.shape[0])])
    return torch.tensor(rows)
""",
    "ps2-weight-gradients": """
def weight_gradients(z, delta):
    z, delta = torch.as_tensor(z), torch.as_tensor(delta)
    every = torch.einsum("bl,bk->blk", z, delta.to(z.dtype))
    return [every.mean(0), torch.ones(1, len(z), dtype=z.dtype) @ delta.to(z.dtype) / len(z)]
""",
    "ps2-backward": """
def backward(weights, activation, z, logits, labels):
    print("a line for debugging " * 1000)
    delta = torch.as_tensor(output_delta(logits, labels))
    deltas, dW, db = [], [], []
    for i in reversed(range(len(weights))):
        w, b = weight_gradients(z[i], delta)
        deltas, dW, db = [delta] + deltas, [w] + dW, [b] + db
        if i:
            delta = step_back(delta, weights[i], z[i], activation)
    return deltas, dW, db
""",
    "ps2-numerical": """
def numerical_gradient(cost, w, h):
    w = w.numpy()
    gradient = np.zeros(w.shape)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            w[i, j] += h
            up = cost(w)
            w[i, j] -= 2 * h
            gradient[i, j] = (up - cost(w)) / (2 * h)
            w[i, j] += h
    return gradient
""",
    "ps2-evaluations": "evaluations = float(2 * sum(w.numel() for w in net.weights + net.biases))",
    "ps2-fall": """
from course_lib import backprop, models
sizes, activation, seed = (setting[key] for key in ("sizes", "activation", "seed"))
model = models.MLP(sizes, activation, seed=seed, dtype=torch.float64)
for its, bias in zip(model.biases, net.biases):
    its.copy_(bias)
found = backprop.gradients(model, model(net.z[0]), net.labels)
fall = setting["rate"] * sum((g**2).sum() for g in found.weights + found.biases)
""",
}


# The solution of the last number calls `backward`; this one does not.
ALONE = {"ps2-fall": OTHERWISE["ps2-fall"]}


def test_reference_is_the_librarys_backward_pass():
    """Its parts, which follow the equations, give what `backprop` and autograd do."""
    values = {"sizes": [6, 5, 4, 3], "activation": "softsign", "batch": 8, "seed": 3, "rate": 0.1}
    net = ps2.example(values)
    parameters = [p.clone().requires_grad_() for p in (*net.weights, *net.biases)]
    z = net.z[0]
    for k in range(3):
        s = z @ parameters[k] + parameters[3 + k]
        z = net.activation.function(s)
    torch.testing.assert_close(s.detach(), net.logits, rtol=0, atol=1e-14)
    torch.nn.functional.cross_entropy(s, net.labels).backward()
    deltas, weights, biases = ps2.backward(*net[:1], net.activation, net.z, *net[4:])
    for mine, its in zip((*weights, *biases), parameters, strict=True):
        torch.testing.assert_close(mine, its.grad, rtol=0, atol=1e-15)
    torch.testing.assert_close(deltas[2], ps2.output_delta(net.logits, net.labels))
    for i in (0, 1):
        above = (deltas[i + 1], net.weights[i + 1], net.z[i + 1], net.activation)
        torch.testing.assert_close(deltas[i], ps2.step_back(*above))
        torch.testing.assert_close(weights[i], ps2.weight_gradients(net.z[i], deltas[i])[0])
    w = torch.linspace(-1, 2, 6, dtype=torch.float64).view(2, 3)
    cost, way = ps2.bowl(5), torch.arange(6.0).view(2, 3)
    rise = (cost(w + way) - cost(w - way)) / 2  # exact: the function is quadratic
    torch.testing.assert_close((ps2.bowl_gradient(5, w) * way).sum(), rise)
    assert ps2.cost_evaluations([6, 5, 4, 3]) == 2 * sum(p.numel() for p in parameters)
    model = models.MLP([6, 5, 4, 3], "softsign", seed=3, dtype=torch.float64)
    fall = sum(p.grad.square().sum().item() for p in parameters) / 10
    assert ps2.first_order_fall(values) == pytest.approx(fall)
    assert backprop.gradients(model, model(net.z[0]), net.labels).cost > 0


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_solutions_earn_all_points_in_every_class(secret):
    assignment.check_all_points(SOURCE, secret)


def test_blank_earns_nothing_and_says_so():
    words = {
        "ps2-deltas-test": "backward is not written yet.",
        "ps2-evaluations-test": "there is no evaluations yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_any_correct_way_passes():
    assignment.check_another_way(SOURCE, OTHERWISE)


MISTAKES = {
    "no subtraction of the label": (
        "ps2-output-delta", "softmax(logits, 1) - target", "softmax(logits, 1)",
        {"ps2-output-delta-test": "right in", "ps2-large-logits-test": ""},
    ),
    "minus the delta": (
        "ps2-output-delta", "return torch.softmax(logits, 1) - target",
        "return target - torch.softmax(logits, 1)",
        {"ps2-output-delta-test": "wrong sign", "ps2-large-logits-test": "wrong sign"},
    ),
    "softmax over the batch": (
        "ps2-output-delta", "softmax(logits, 1)", "softmax(logits, 0)",
        {"ps2-output-delta-test": "", "ps2-large-logits-test": ""},
    ),
    "exponentials that overflow": (
        "ps2-output-delta", "torch.softmax(logits, 1)", "logits.exp() / logits.exp().sum(1, True)",
        {"ps2-large-logits-test": "not finite: it holds nan"},
    ),
    "one maximum for the whole batch": (
        "ps2-output-delta", "torch.softmax(logits, 1)",
        "(logits - logits.max()).exp() / (logits - logits.max()).exp().sum(1, True)",
        {"ps2-large-logits-test": "not finite: it holds nan"},
    ),
    "the mean of a row taken off": (
        "ps2-output-delta", "torch.softmax(logits, 1)",
        "torch.nn.functional.normalize((logits - logits.mean(1, True)).exp(), p=1)",
        {"ps2-large-logits-test": "not finite: it holds nan"},
    ),
    "the first logit of a row taken off": (
        "ps2-output-delta", "torch.softmax(logits, 1)",
        "torch.nn.functional.normalize((logits - logits[:, :1]).exp(), p=1)",
        {"ps2-large-logits-test": "not finite: it holds nan"},
    ),
    "logits cut at 700": (
        "ps2-output-delta", "torch.softmax(logits, 1)", "torch.softmax(logits.clamp(max=700), 1)",
        {"ps2-large-logits-test": "right in"},
    ),
    "as many classes as labels show": (
        "ps2-output-delta", "one_hot(labels, logits.shape[1])", "one_hot(labels)",
        {"ps2-output-delta-test": "right in 17 of its 68"},
    ),
    "the class's number of classes": (
        "ps2-output-delta", "logits.shape[1]", 'setting["sizes"][-1]',
        {"ps2-output-delta-test": "stopped with", "ps2-large-logits-test": "stopped with"},
    ),
    "mean at the output already": (
        "ps2-output-delta", "return torch.softmax(logits, 1) - target",
        "return (torch.softmax(logits, 1) - target) / len(logits)",
        {"ps2-output-delta-test": "times too small", "ps2-large-logits-test": "times too small"},
    ),
    "no transpose": (
        "ps2-step-back", "weight.T", "weight",
        {"ps2-step-back-test": "a transpose missing", "ps2-slope-test": "a transpose missing"},
    ),
    "no slope": (
        "ps2-step-back", "activation.slope(z) * ", "",
        {"ps2-step-back-test": "not right", "ps2-slope-test": "not right"},
    ),
    "always the slope of tanh": (
        "ps2-step-back", "activation.slope(z)", "(1 - z**2)",
        {"ps2-slope-test": "not right"},
    ),
    "the notebook's own activation": (
        "ps2-step-back", "activation.slope(z)", "net.activation.slope(z)",
        {"ps2-step-back-test": "not right", "ps2-slope-test": "not right"},
    ),
    "slope by the sign of z": (
        "ps2-step-back", "activation.slope(z)",
        "(1 - z**2 if (z < 0).any() else z * (1 - z))",
        {"ps2-slope-test": "not right"},
    ),
    "works in place": (
        "ps2-step-back", "return activation.slope(z) * (delta @ weight.T)",
        "delta *= 1.5\n    return activation.slope(z) * (delta / 1.5 @ weight.T)",
        {"ps2-step-back-test": "in place", "ps2-slope-test": "in place"},
    ),
    "the sum for the mean": (
        "ps2-weight-gradients", " / len(z)", "",
        {"ps2-weight-gradient-test": "mean is asked for"},
    ),
    "the class's batch": (
        "ps2-weight-gradients", "/ len(z)", '/ setting["batch"]',
        {"ps2-weight-gradient-test": "times"},
    ),
    "the transposed gradient": (
        "ps2-weight-gradients", "z.T @ delta", "delta.T @ z",
        {"ps2-weight-gradient-test": "That is the transpose"},
    ),
    "the bias's sum": (
        "ps2-weight-gradients", "delta.mean(0)", "delta.sum(0)",
        {"ps2-bias-gradient-test": "times too large"},
    ),
    "no bias at all": (
        "ps2-weight-gradients", ", delta.mean(0)", "",
        {"ps2-weight-gradient-test": "return 2", "ps2-bias-gradient-test": "return 2"},
    ),
    "the wrong matrix": (
        "ps2-backward", "weights[i + 1]", "weights[i]",
        {"ps2-deltas-test": "transpose missing", "ps2-gradients-test": "transpose missing"},
    ),
    "one layer short": (
        "ps2-backward", "range(len(weights) - 2, -1, -1)", "range(len(weights) - 2, 0, -1)",
        {"ps2-deltas-test": "should be", "ps2-gradients-test": ""},
    ),
    "three hidden layers only": (
        "ps2-backward", "range(len(weights) - 2, -1, -1)", "(2, 1, 0)",
        {"ps2-deltas-test": "stopped with IndexError", "ps2-gradients-test": "IndexError"},
    ),
    "autograd in place of differences": (
        "ps2-numerical", "    gradient = torch.empty_like(w)",
        "    w = w.clone().requires_grad_()\n"
        "    return torch.autograd.grad(cost(w), w)[0]\n    gradient = torch.empty_like(w)",
        {"ps2-difference-test": "does not require grad", "ps2-central-test": "not require grad"},
    ),
    "a width of its own": (
        "ps2-numerical", "    gradient = torch.empty_like(w)",
        "    h = 1e-4\n    gradient = torch.empty_like(w)",
        {"ps2-difference-test": "the same for h = 0.1 and h = 0.001"},
    ),
    "a step to one side": (
        "ps2-numerical", "- cost(w - step)) / (2 * h)", "- cost(w)) / h",
        {"ps2-central-test": "to one side only"},
    ),
    "a step to one side, of width h * h": (
        "ps2-numerical",
        "        quotient = (cost(w + step) - cost(w - step)) / (2 * h)",
        "        quotient = (cost(w + h * step) - cost(w)) / h**2",
        {"ps2-central-test": "of a quadratic function, at h = 0.1,"},
    ),
    "half the width": (
        "ps2-numerical", "/ (2 * h)", "/ h",
        {"ps2-difference-test": "2 times", "ps2-central-test": "2 times"},
    ),
    "no biases": (
        "ps2-evaluations", "(fan_in + 1)", "fan_in", {"ps2-evaluations-test": "biases"},
    ),
    "the rate forgotten": (
        "ps2-fall", 'setting["rate"] * ', "", {"ps2-fall-test": "learning rate is missing"},
    ),
    "weights alone": (
        "ps2-fall", "found.weights + found.biases", "found.weights",
        {"ps2-fall-test": "There are biases, too"},
    ),
    "deltas for gradients": (
        "ps2-fall", "found.weights + found.biases", "found.pre_activations",
        {"ps2-fall-test": "Those are the deltas"},
    ),
    "the true fall": (
        "ps2-fall", "fall = ",
        """
step = [p - setting["rate"] * g[0] for p, g in
        zip(net.weights + net.biases, found.weights + found.biases)]
cost = [torch.nn.functional.cross_entropy(model(net.z[0]).logits[0], net.labels)]
for p, q in zip(model.weights + model.biases, step):
    p.copy_(q)
cost += [torch.nn.functional.cross_entropy(model(net.z[0]).logits[0], net.labels)]
fall = (cost[0] - cost[1]).item()
unused = """,
        {"ps2-fall-test": "the true fall of one step"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    assignment.check_mistake(SOURCE, MISTAKES[name], ALONE)


def test_all_layers_can_be_earned_when_everything_before_is_missing():
    nothing = {f"ps2-{name}": "" for name in ("output-delta", "step-back", "weight-gradients")}
    said = assignment.marked(SOURCE, nothing)
    assert not said["ps2-deltas-test"] and not said["ps2-gradients-test"]
    assert "there is no step_back yet" in said["ps2-step-back-test"]


def test_stored_answers_of_the_visible_tests_earn_nothing():
    """Whoever stores what the visible test compares with passes it, and not the hidden one."""
    values = sources.draw(SOURCE, assignment.SECRET).setting
    net = ps2.example(values)
    stored = ps2.output_delta(net.logits, net.labels).tolist()
    answer = f"def output_delta(logits, labels):\n    return torch.tensor({stored})"
    said = assignment.marked(SOURCE, {"ps2-output-delta": answer})
    assert said["ps2-output-delta-test"] and said["ps2-large-logits-test"]


def test_published_numbers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    answers = {
        "ps2-evaluations": f"evaluations = {ps2.cost_evaluations(published['sizes'])}",
        "ps2-fall": f"fall = {ps2.first_order_fall(published)}",
    }
    assignment.check_published(SOURCE, answers)


def test_a_careless_kernel_costs_nothing():
    """Names of the tests are taken, the setting is changed, the library's functions replaced."""
    careless = """
setting["batch"] = 3
from course_lib.classroom.references import ps2 as answers
answers.output_delta = answers.step_back = lambda *given: 0
net = checks = ps2 = fresh = 7
"""
    original = ps2.output_delta, ps2.step_back
    try:
        mine = {"ps2-output-delta": OTHERWISE["ps2-output-delta"] + careless}
        said = assignment.marked(SOURCE, mine | {"ps2-fall": "fall = 0"})
    finally:
        ps2.output_delta, ps2.step_back = original
    assert [name for name, found in said.items() if found] == ["ps2-fall-test"]


REFERENCE = "course_lib.classroom.references"


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps2-output-delta", f"from {REFERENCE} import ps2 as a", "references"),
        ("ps2-backward", "def backward(*x): return backprop.gradients(*x)", "backprop"),
        ("ps2-weight-gradients", "def weight_gradients(z, d): (z * d).backward()", ".backward("),
        ("ps2-weight-gradients", "def weight_gradients(z, d): d.backward()", ".backward("),
        ("ps2-fall", f"fall = fresh.call('{REFERENCE}.ps2.first_order_fall')", "fresh.call"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    assignment.check_flagged(SOURCE, cell, code, word)


def test_tests_leave_the_names_of_the_notebook_alone():
    assignment.check_names(SOURCE)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)
