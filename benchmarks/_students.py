"""A class that was never taught: what each of its students hands in for ps2, and what that earns.

Every student solves, misses or leaves out each part, drawn from a seed, and a few have accidents.
What a mistake costs is known from what it is, so that every mark is known before it is graded.
"""

import copy
import random
import re
from typing import NamedTuple

import nbformat

from course_lib.classroom import sources

FIRST = ("Ada", "Bo", "Chidi", "Dina", "Elif", "Femi", "Grete", "Hugo", "Ines", "Jun")
LAST = ("Abe", "Berg", "Costa", "Diallo", "Eriksen", "Farah", "Gupta", "Horvat", "Ivanov", "Jung")
FILES = ("ps2.ipynb", "ps2.ipynb", "ps2 (1).ipynb", "ps2_final.ipynb")
WRITTEN = "ps2-wrong-gradients"
# What students are called who like other names for things, in the cells that define a function.
NAMES = {"delta": "d", "z": "acts", "weight": "W", "labels": "y", "logits": "scores"}
NAMES |= {"target": "wanted", "gradient": "slopes", "deltas": "all_deltas"}

# Each cell: the tests that hang on it, and its mistakes, as what is written for what in the
# solution and which of the tests that fails.
BOTH = None
CELLS = {
    "ps2-output-delta": (
        ("ps2-output-delta-test", "ps2-large-logits-test"),
        (
            ("softmax(logits, 1) - target", "softmax(logits, 1)", BOTH),
            ("torch.softmax(logits, 1) -", "logits.exp() / logits.exp().sum(1, True) -", (1,)),
        ),
    ),
    "ps2-step-back": (
        ("ps2-step-back-test", "ps2-slope-test"),
        (("weight.T", "weight", BOTH), ("activation.slope(z)", "(1 - z**2)", (1,))),
    ),
    "ps2-weight-gradients": (
        ("ps2-weight-gradient-test", "ps2-bias-gradient-test"),
        (
            (" / len(z)", "", (0,)),
            ("z.T @ delta", "delta.T @ z", (0,)),
            ("delta.mean(0)", "delta.sum(0)", (1,)),
        ),
    ),
    "ps2-backward": (
        ("ps2-deltas-test", "ps2-gradients-test"),
        (("weights[i + 1]", "weights[i]", BOTH), ("2, -1, -1)", "2, 0, -1)", BOTH)),
    ),
    "ps2-numerical": (
        ("ps2-difference-test", "ps2-central-test"),
        (("- cost(w - step)) / (2 * h)", "- cost(w)) / h", (1,)), ("(2 * h)", "h", BOTH)),
    ),
    "ps2-evaluations": (
        ("ps2-evaluations-test",),
        (("(fan_in + 1)", "fan_in", BOTH), ("2 * sum", "sum", BOTH)),
    ),
    "ps2-fall": (("ps2-fall-test",), (('setting["rate"] * ', "", BOTH),)),
}
# The last number in a way that needs nothing of the student's own: who has an error before it, or
# likes it better, takes this one.
FALL = """net = ps2.example(setting)
layers, z = len(net.weights), net.z[0]
parameters = [p.clone().requires_grad_() for p in (*net.weights, *net.biases)]
for k in range(layers):
    s = z @ parameters[k] + parameters[layers + k]
    z = net.activation.function(s)
cost = torch.nn.functional.cross_entropy(s, net.labels)
fall = setting["rate"] * sum(g.square().sum() for g in torch.autograd.grad(cost, parameters)).item()
"""
OTHERWISE = {
    "ps2-output-delta": """def output_delta(logits, labels):
    e = torch.exp(logits - logits.max(1, keepdim=True).values)
    p = e / e.sum(1, keepdim=True)
    p[range(len(labels)), labels] -= 1
    return p
""",
    "ps2-step-back": """def step_back(delta, weight, z, activation):
    return torch.einsum("bm,nm->bn", delta, weight) * activation.slope(z)
""",
    "ps2-weight-gradients": """def weight_gradients(z, delta):
    return torch.einsum("bn,bm->bnm", z, delta).mean(0), sum(delta) / len(delta)
""",
    "ps2-backward": """def backward(weights, activation, z, logits, labels):
    delta = output_delta(logits, labels)
    deltas, dW, db = [], [], []
    for i in reversed(range(len(weights))):
        pair = weight_gradients(z[i], delta)
        deltas, dW, db = [delta] + deltas, [pair[0]] + dW, [pair[1]] + db
        if i:
            delta = step_back(delta, weights[i], z[i], activation)
    return deltas, dW, db
""",
    "ps2-numerical": """def numerical_gradient(cost, w, h):
    gradient = torch.zeros_like(w)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            up, down = w.clone(), w.clone()
            up[i, j] += h
            down[i, j] -= h
            gradient[i, j] = (cost(up) - cost(down)) / (2 * h)
    return gradient
""",
    "ps2-evaluations": """evaluations = 0
for n, m in zip(setting["sizes"][:-1], setting["sizes"][1:]):
    evaluations += 2 * n * m + 2 * m
""",
    "ps2-fall": FALL,
}
ENDLESS = """def numerical_gradient(cost, w, h):
    gradient, entry = torch.zeros_like(w), 0
    while entry < w.numel():
        gradient.view(-1)[entry] = cost(w)
    return gradient
print(numerical_gradient(torch.sum, torch.ones(2, 3), 1e-3))
"""
PRINTS = "\nfor k in range(50_000):\n    print('still running', k, 'of', 50_000, '...' * 20)\n"
# What happens to one of the class each, and words of what the instructor is told of it.
ACCIDENTS = {
    "import": "stops with ModuleNotFoundError: No module named 'tensorflaw'",
    "empty": "ps2.ipynb is an empty file",
    "prints": "ps2-evaluations wrote more than is kept",
    "endless": "ps2-numerical was stopped after 60 seconds",
    "pdf": "ps2.ipynb is not a notebook",
    "tests deleted": "missing, and put back: ps2-output-delta-test",
}
FILES_OF = {"empty": b"", "pdf": b"%PDF-1.7\n\xff\xfe"}


class Student(NamedTuple):
    """One of the class.

    Attributes
    ----------
    id, first_name, last_name, moodle, file : str
    answers : dict
        Grade id of a cell to what the student wrote there; the other cells stay as released.
    marks : dict
        Grade id of a test to its points, None for what waits for a human; empty if the machine
        cannot grade it.
    accident : str, of `ACCIDENTS`, or empty
    """

    id: str
    first_name: str
    last_name: str
    moodle: str
    file: str
    answers: dict
    marks: dict
    accident: str = ""


def make(count, source, seed=0):
    """Return the students of a class, at most 100, with what they hand in and what that earns."""
    if not 1 <= count <= len(FIRST) * len(LAST):
        raise ValueError(f"count must be 1 to {len(FIRST) * len(LAST)}, not {count}")
    draw = random.Random(seed)
    names = draw.sample([(first, last) for first in FIRST for last in LAST], count)
    accidents = list(ACCIDENTS)[: count // 2]
    accidents += [""] * (count - len(accidents))
    draw.shuffle(accidents)
    right = solutions(source)
    return [
        _student(k, *name, accident, right, source.points, draw)
        for k, (name, accident) in enumerate(zip(names, accidents, strict=True))
    ]


def solutions(source):
    """Return the answers of the key, grade id to code, without the marks around them."""
    mark = re.compile(r"^.*(?:BEGIN|END) SOLUTION.*\n?", re.M)
    return {cell.id: mark.sub("", cell.source) for cell in sources.drawn(source).cells}


def mistaken(cell, number, right):
    """Return the answer of a cell with one of its mistakes in it, and the tests that it fails."""
    tests, mistakes = CELLS[cell]
    good, bad, which = mistakes[number]
    solution = FALL if cell == "ps2-fall" else right[cell]
    if good not in solution:
        raise RuntimeError(f"the solution of {cell} has no {good!r} any more")
    return solution.replace(good, bad), {tests[n] for n in which or range(len(tests))}


def renamed(code):
    """Return code with other names for what it is given and what it makes."""
    return re.sub(rf"\b({'|'.join(NAMES)})\b", lambda match: NAMES[match[1]], code)


def _student(k, first, last, accident, right, points, draw):
    able, renames = draw.choice((0.5, 0.8, 0.95)), draw.random() < 0.3
    answers, lost = {}, set()
    for cell, (tests, mistakes) in CELLS.items():
        how = draw.random()
        if how > able + (1 - able) / 2:  # left out
            lost |= set(tests)
        elif how > able:
            answers[cell], fails = mistaken(cell, draw.randrange(len(mistakes)), right)
            lost |= fails
        else:
            own = cell == "ps2-fall" and (lost or accident)
            answers[cell] = OTHERWISE[cell] if own or draw.random() < 0.4 else right[cell]
    if accident == "import":
        answers["ps2-output-delta"] = f"import tensorflaw\n{right['ps2-output-delta']}"
        lost |= set(CELLS["ps2-output-delta"][0])
    elif accident == "endless":
        answers["ps2-numerical"] = ENDLESS
        lost |= set(CELLS["ps2-numerical"][0])
    elif accident == "prints":
        answers["ps2-evaluations"] = OTHERWISE["ps2-evaluations"] + PRINTS
        lost -= set(CELLS["ps2-evaluations"][0])
    if renames:
        answers |= {cell: renamed(code) for cell, code in answers.items() if "def " in code}
    marks = {test: 0 if test in lost else most for test, most in points.items()}
    marks[WRITTEN] = 0
    if draw.random() < able:
        answers[WRITTEN] = "Anna sums over her 16 examples; Ben loses a transpose halfway down."
        marks[WRITTEN] = None
    if accident in FILES_OF:
        marks = {}
    number = f"{k + 1:03}"
    return Student(
        f"s{number}", first, last, f"7000{number}", draw.choice(FILES), answers, marks, accident
    )


def handed_in(student, released):
    """Return the file that a student hands in, as bytes, made of the release."""
    if student.accident in FILES_OF:
        return FILES_OF[student.accident]
    notebook = copy.deepcopy(released)
    for cell in notebook.cells:
        cell.source = student.answers.get(cell.id, cell.source)
    if student.accident == "tests deleted":
        notebook.cells = [cell for cell in notebook.cells if not cell.id.endswith("-test")]
    return nbformat.writes(notebook).encode()
