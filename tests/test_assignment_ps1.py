"""Assignment 1, graded: each answer gets its points, and a mistake costs only where it is made."""

import functools
import math
import re

import assignment
import numpy as np
import pytest
import torch

from course_lib import shapeset
from course_lib.classroom import sources
from course_lib.classroom.references import ps1

SOURCE = sources.read(sources.find("ps1"))
SOLUTIONS = {
    cell.id: cell.source for cell in sources.drawn(SOURCE).cells if cell.cell_type == "code"
}
NUMPY = {
    "ps1-class-of": """
def class_of(kinds):
    names = []
    for first, second in kinds.numpy():
        a, b = shapeset.KINDS[first], shapeset.KINDS[second]
        if second == -1:
            names.append(a)
        elif first == second:
            names.append(f"two {a}s")
        else:
            names += [name for name in (f"{a} + {b}", f"{b} + {a}") if name in shapeset.CLASSES]
    return torch.tensor([[float(shapeset.CLASSES.index(name))] for name in names])
""",
    "ps1-class-priors": """
import numpy as np
def class_priors(p_two, odds):
    q = np.array(odds) / np.sum(odds)
    found = np.zeros(9)
    for a in range(3):
        found[a] += (1 - p_two) * q[a]
        for b in range(3):
            found[class_of(torch.tensor([[a, b]])).long().item()] += p_two * q[a] * q[b]
    return found
""",
    "ps1-error": """
q = [o / sum(setting["odds"]) for o in setting["odds"]]
t, p, e = q
two = setting["p_two"]
nine = [(1 - two) * k for k in q] + [2 * two * t * p, 2 * two * p * e, 2 * two * t * e]
nine += [two * k * k for k in q]
error = torch.tensor(1 - max(nine))
""",
    "ps1-cost": """
import math
cost = sum(-k * math.log(k) for k in nine)
""",
    "ps1-fill": """
def fill(corners, rows, columns):
    # Crossings of a ray to the right: any polygon, either way round.
    corners = corners.tolist()
    image = torch.zeros(rows, columns, dtype=torch.uint8)
    for r in range(rows):
        meets = []
        for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1]):
            if (y1 > r + 0.5) != (y2 > r + 0.5):
                meets.append(x1 + (r + 0.5 - y1) / (y2 - y1) * (x2 - x1))
        for c in range(columns):
            image[r, c] = sum(x > c + 0.5 for x in meets) % 2
    return image
""",
    "ps1-paint": """
def paint(masks, greys):
    image = np.full(masks[0].shape, greys[0], dtype=np.float32)
    for k, mask in enumerate(masks):
        image = np.where(mask.numpy(), greys[k + 1], image)
    return (image - 127.5) / 127.5
""",
    "ps1-estimate": """
def estimate(values):
    rows = values.numpy().reshape(len(values), -1).mean(axis=1)
    return [float(rows.mean()), rows.std() / math.sqrt(len(rows))]
""",
    "ps1-mirror": """
def mirror(images):
    size = int(math.sqrt(images.shape[1]))
    order = [(size - 1 - r) * size + c for r in range(size) for c in range(size)]
    return images[:, order]
""",
    "ps1-verdicts": """
verdicts = {}
for name, (images, labels) in samples.items():
    x = images.numpy()
    light = (x[:, 0] > 0).mean()
    shape = (x != x[:, :1]).reshape(-1, 32, 32)
    lower = shape[:, 16:].sum((1, 2)) - shape[:, :16].sum((1, 2)).astype(float)
    single = (labels.numpy() < 3).mean()
    if len({row.tobytes() for row in x}) < len(x):
        verdicts[name] = "repeats"
    elif abs(light - 0.5) > 0.045:
        verdicts[name] = "polarity"
    elif abs(single - 0.5) > 0.045:
        verdicts[name] = "classes"
    else:
        off = abs(lower.mean()) > 6 * lower.std() / len(x) ** 0.5
        verdicts[name] = "mirror" if off else "none"
""",
}
# The numbers as they are found without a function of an earlier part.
ALONE = {name: NUMPY[name] for name in ("ps1-error", "ps1-cost")}


@pytest.fixture(autouse=True)
def samples_drawn_once(monkeypatch):
    """They take a second; every test of a class has the same."""
    monkeypatch.setattr(ps1, "samples", lambda values: dict(drawn_samples(values["seed"])))


@functools.cache
def drawn_samples(seed, draw=ps1.samples):
    return draw({"seed": seed})


def verdicts_alone(secret=assignment.SECRET):
    return {"ps1-verdicts": f"verdicts = {ps1.verdicts(sources.draw(SOURCE, secret).setting)}"}


def test_reference_agrees_with_the_generator():
    """With what it draws: labels, frequencies, outlines and pictures."""
    n = 40_000
    drawn = shapeset.parameters(n, seed=1)
    assert (ps1.class_of(drawn.kinds) == drawn.labels).all()
    priors = ps1.class_priors(0.5, [1, 1, 1])
    found = torch.bincount(drawn.labels, minlength=9) / n
    assert ((found - priors).abs() < 4.5 * (priors * (1 - priors) / n).sqrt()).all()
    values = {"p_two": 0.5, "odds": [2, 2, 2]}
    assert ps1.constant_error(values) == pytest.approx(5 / 6)
    entropy = math.log(6) / 2 + math.log(9) / 3 + math.log(18) / 6
    assert ps1.constant_cost(values) == pytest.approx(entropy)
    # Other odds, by drawing: kinds are independent, so that images can be kept by their kinds.
    odds, p_two = torch.tensor([0.3, 1.0, 0.7]), 0.25
    kept = odds[drawn.kinds[:, 0]] * torch.where(
        drawn.kinds[:, 1] < 0, 1.0, odds[drawn.kinds[:, 1]] * 3 / odds.sum() * p_two / (1 - p_two)
    )
    kept = torch.rand(n, generator=torch.Generator().manual_seed(2)) < kept
    priors = ps1.class_priors(p_two, odds.tolist())
    m = int(kept.sum())
    found = torch.bincount(drawn.labels[kept], minlength=9) / m
    assert ((found - priors).abs() < 4.5 * (priors * (1 - priors) / m).sqrt()).all()
    # Corners are rounded to whole pixels by the library: only pixels at edges differ.
    images = shapeset.render(drawn[:50]).double()
    for i in range(50):
        corners = shapeset.polygons(drawn, i)
        masks = [ps1.fill(torch.from_numpy(c), 32, 32) for c in corners]
        mine = ps1.paint(masks, drawn.greys[i].tolist()[: len(masks) + 1]).flatten()
        assert ((mine - images[i]).abs() > 1e-5).double().mean() < 0.1


def test_reference_mask_has_the_area_of_its_polygon():
    for kind, clockwise in ((0, True), (1, False), (2, True)):
        corners = ps1.outline(kind, 5, (300, 400), clockwise)
        x, y = corners.T
        area = ((x * y.roll(-1)).sum() - (y * x.roll(-1)).sum()) / 2
        assert (area > 0) == clockwise, "y points down: clockwise is positive"
        assert int(ps1.fill(corners, 300, 400).sum()) == pytest.approx(abs(float(area)), rel=0.01)


def test_reference_standard_error_is_the_scatter_of_the_mean():
    means = [float(ps1.estimate(ps1.scenes(seed))[0]) for seed in range(200)]
    stated = np.mean([float(ps1.estimate(ps1.scenes(seed))[1]) for seed in range(200)])
    assert np.std(means, ddof=1) == pytest.approx(stated, rel=0.2)  # 4 times 1 / sqrt(2 * 200)


@pytest.mark.parametrize("seed", [100, 555, 999])
def test_planted_faults_stand_out_and_nothing_else_does(seed):
    found = ps1.verdicts({"seed": seed})
    assert len(set(found.values())) == 4
    n = ps1.SAMPLE
    for name, (images, labels) in ps1.samples({"seed": seed}).items():
        assert images.shape == (n, 1024) and labels.shape == (n,)
        priors = ps1.class_priors(0.5, [1, 1, 1])
        shares = torch.bincount(labels, minlength=9) / n
        shape = (images != images[:, :1]).double()
        balance, error = ps1.estimate((shape - ps1.mirror(shape)).view(n, 32, 32)[:, :16])
        off = {
            "classes": float(((shares - priors).abs() / (priors * (1 - priors) / n).sqrt()).max()),
            "polarity": abs(float((images[:, 0] > 0).double().mean()) - 0.5) * 2 * n**0.5,
            "mirror": abs(float(balance / error)),
            "repeats": float(n - len(torch.unique(images, dim=0))),
        }
        for fault, size in off.items():
            assert size > 6 if fault == found[name] else size < 5, (seed, name, off)


def test_top_and_bottom_are_alike_in_the_library_and_left_and_right_are_not():
    """As the assignment says: by rounding towards the left end of each edge."""
    images = shapeset.sample(60_000, seed=8)[0]
    shape = (images != images[:, :1]).view(-1, 32, 32)
    for axis, low, high in ((1, -4.5, 4.5), (2, -13, -4)):
        half = shape.sum(3 - axis)
        lead = (half[:, :16].sum(1) - half[:, 16:].sum(1)).double()
        off = float(lead.mean() / lead.std() * len(lead) ** 0.5)  # -8.4 is expected across
        assert low < off < high
        if axis == 2:
            assert abs(lead.mean() + 3.1) < 4 * lead.std() / len(lead) ** 0.5


@pytest.mark.parametrize("secret", ["", assignment.SECRET, "another class"])
def test_solutions_earn_all_points_in_every_class(secret):
    said = assignment.marked(SOURCE, secret=secret)
    assert {name: found for name, found in said.items() if found} == {}
    assert sum(SOURCE.points[name] for name in said) == 16, "the rest is the written answer"


def test_blank_earns_nothing_and_says_so():
    said = assignment.marked(SOURCE, assignment.blank(SOURCE))
    assert all(said.values())
    assert said["ps1-fill-test"] == "fill is not written yet."
    assert "there is no cost yet" in said["ps1-cost-test"]
    assert "there is no verdicts yet" in said["ps1-all-verdicts-test"]


def test_any_correct_way_passes():
    more = {"ps1-paint": "import math\nimport numpy as np\n" + NUMPY["ps1-paint"]}
    assert assignment.marked(SOURCE, NUMPY | more) == dict.fromkeys(SOURCE_TESTS, "")


SOURCE_TESTS = [name for name in SOURCE.points if name.endswith("-test")]


def test_cells_without_points_take_arrays_as_well_as_tensors():
    more = {"ps1-paint": "import math\nimport numpy as np\n" + NUMPY["ps1-paint"]}
    namespace = {}
    for cell in assignment.submission(SOURCE, NUMPY | more).cells:
        if cell.cell_type == "code" and cell.id not in SOURCE.points:
            exec(cell.source, namespace)


# Each mistake: the cell, what is replaced by what, the tests that it fails, words of what they say.
MISTAKES = {
    "one order only": (
        "ps1-class-of", "sorted(row) for row in kinds.tolist()",
        "row if row[1] >= 0 else row[::-1] for row in kinds.tolist()",
        {"ps1-pairs-test": "stopped with KeyError"},
    ),
    "no single shapes": (
        "ps1-class-of", "b if a < 0 else pairs[a, b]", "1 if a < 0 else pairs[a, b]",
        {"ps1-one-shape-test": "right in 2 of its 4 entries"},
    ),
    "two orders forgotten": (
        "ps1-class-priors", "p_two * 2 *", "p_two *",
        {"ps1-priors-test": "right in 6 of its 9 entries"},
    ),
    "equal odds": (
        "ps1-class-priors", "/ sum(odds)", "* 0 + 1 / 3",
        {"ps1-priors-test": "not right"},
    ),
    "odds are no probabilities": (
        "ps1-class-priors", " / sum(odds)", "", {"ps1-priors-test": ""},
    ),
    "always half": (
        "ps1-class-priors", "q = torch", "p_two = 0.5\n    q = torch",
        {"ps1-priors-test": "not right"},
    ),
    "the share of right answers": (
        "ps1-error", "1 - max(nine)", "max(nine)", {"ps1-error-test": "share of right answers"},
    ),
    "bits": (
        "ps1-cost", "math.log(k)", "math.log2(k)", {"ps1-cost-test": "in bits"},
    ),
    "equal classes": (
        "ps1-cost", "-k * math.log(k)", "-math.log(k) / 9", {"ps1-cost-test": "equally often"},
    ),
    "clockwise only": (
        "ps1-fill", " | (~sides).all(0)", "", {"ps1-other-way-test": "0 everywhere"},
    ),
    "corners of pixels": (
        "ps1-fill", " + 0.5", "",
        {"ps1-fill-test": "right in", "ps1-other-way-test": "right in"},
    ),
    "rows for columns": (
        "ps1-fill", "torch.arange(columns) + 0.5, torch.arange(rows)[:, None] + 0.5",
        "torch.arange(columns)[:, None] + 0.5, torch.arange(rows) + 0.5",
        {"ps1-fill-test": "That is the transpose", "ps1-other-way-test": "That is the transpose"},
    ),
    "the last edge forgotten": (
        "ps1-fill", "zip(corners, corners.roll(-1, 0))", "zip(corners[:-1], corners[1:])",
        {"ps1-fill-test": "right in", "ps1-other-way-test": "right in"},
    ),
    "the first on top": (
        "ps1-paint", "in zip(masks, greys[1:])", "in list(zip(masks, greys[1:]))[::-1]",
        {"ps1-paint-test": "right in"},
    ),
    "grey levels": (
        "ps1-paint", "2 * image / 255 - 1", "image", {"ps1-paint-test": "the image of one shape"},
    ),
    "from 0 to 1": (
        "ps1-paint", "2 * image / 255 - 1", "image / 255", {"ps1-paint-test": "right in"},
    ),
    "pixels taken for independent": (
        "ps1-estimate", "images.std() / len(images) ** 0.5", "values.std() / values.numel() ** 0.5",
        {"ps1-standard-error-test": "are they?"},
    ),
    "the scatter": (
        "ps1-estimate", " / len(images) ** 0.5", "",
        {"ps1-standard-error-test": "scatter of one image"},
    ),
    "only the mean": (
        "ps1-estimate", "return images.mean(), images.std() / len(images) ** 0.5",
        "return images.mean()",
        {"ps1-mean-test": "return 2", "ps1-standard-error-test": "return two numbers"},
    ),
    "turned for mirrored": (
        "ps1-mirror", "images.view(-1, size, size).flip(1)", "images.flip(1)",
        {"ps1-mirror-test": "right in"},
    ),
    "left for right": (
        "ps1-mirror", "flip(1)", "flip(2)", {"ps1-mirror-test": "right in"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    cell, good, bad, failing = MISTAKES[name]
    alone = ALONE | verdicts_alone()
    solution = (alone if cell in alone else SOLUTIONS)[cell]
    assert good in solution
    said = assignment.marked(SOURCE, alone | {cell: solution.replace(good, bad)})
    failed = {test: found for test, found in said.items() if found}
    assert set(failed) == set(failing)
    for test, words in failing.items():
        assert words in failed[test], failed[test]
        assert not re.search(r"Traceback|tensor\(", failed[test])


def test_verdicts_get_a_point_for_two_and_one_more_for_all():
    values = sources.draw(SOURCE, assignment.SECRET).setting
    right = ps1.verdicts(values)
    (unused,) = set(ps1.FAULTS) - set(right.values())

    def earned(verdicts):
        said = assignment.marked(
            SOURCE, assignment.blank(SOURCE) | {"ps1-verdicts": f"verdicts = {verdicts}"}
        )
        tests = ("ps1-two-verdicts-test", "ps1-all-verdicts-test")
        return [said[test] for test in tests]

    a, b, c, d = right.values()
    assert earned(right) == ["", ""]
    assert earned({"A": a, "B": b, "C": d, "D": c}) == ["", "not all four are right."]
    assert earned({"A": a, "B": b, "C": unused, "D": d}) == ["", "not all four are right."]
    assert "fewer than two" in earned({"A": b, "B": a, "C": d, "D": c})[0]
    assert "no two samples" in earned({"A": a, "B": a, "C": c, "D": d})[0]
    assert "C, D" in earned({"A": a, "B": b})[0]
    assert "none of the five" in earned(right | {"A": "fine"})[0]
    assert "a dictionary" in earned(list(right))[0]


def test_every_part_can_be_earned_alone():
    for name, answer in (NUMPY | verdicts_alone()).items():
        if name in ("ps1-cost", "ps1-class-priors"):  # written here with another part's names
            continue
        imports = "import math\nimport numpy as np\n"
        said = assignment.marked(SOURCE, assignment.blank(SOURCE) | {name: imports + answer})
        passed = [test for test, found in said.items() if not found]
        assert passed == between(name), name


def between(solution):
    """The tests between a solution and the next one."""
    ids = [cell.id for cell in sources.drawn(SOURCE).cells]
    after = ids[ids.index(solution) + 1 :]
    end = next((k for k, name in enumerate(after) if name in SOLUTIONS_ONLY), len(after))
    return [name for name in after[:end] if name.endswith("-test")]


SOLUTIONS_ONLY = assignment.blank(SOURCE)


def test_published_numbers_and_stored_answers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    values = sources.draw(SOURCE, assignment.SECRET).setting
    mask = ps1.fill(ps1.outline(0, values["seed"] + 1, values["frame"]), *values["frame"])
    answers = {
        "ps1-error": f"error = {ps1.constant_error(published)}",
        "ps1-cost": f"cost = {ps1.constant_cost(published)}",
        "ps1-fill": f"def fill(*given): return torch.tensor({mask.tolist()})",
        "ps1-mirror": "def mirror(images): return images[:, [6, 7, 8, 3, 4, 5, 0, 1, 2]]",
    } | verdicts_alone("")
    said = assignment.marked(SOURCE, answers)
    assert all(said[f"ps1-{name}-test"] for name in ("error", "cost", "fill", "other-way"))
    assert said["ps1-mirror-test"]
    if ps1.verdicts(published) != ps1.verdicts(values):
        assert said["ps1-all-verdicts-test"]
    answers = {name: answers[name] for name in ("ps1-error", "ps1-cost", "ps1-verdicts")}
    assert not any(assignment.marked(SOURCE, answers, secret="").values())


def test_a_careless_kernel_costs_nothing():
    """Names of the tests are taken, the setting is changed, the library's functions replaced."""
    careless = """
setting["seed"] = 3
from course_lib.classroom.references import ps1 as answers
answers.estimate = answers.mirror = lambda *given: 0
checks = fresh = 7
"""
    original = ps1.estimate, ps1.mirror
    try:
        mine = {"ps1-mirror": SOLUTIONS["ps1-mirror"] + careless} | verdicts_alone()
        said = assignment.marked(SOURCE, ALONE | mine)
    finally:
        ps1.estimate, ps1.mirror = original
    assert [name for name, found in said.items() if found] == []


def test_the_error_in_the_written_answer_s_story_is_that_of_its_file():
    priors = ps1.class_priors(0.5, [1, 1, 1])
    file = priors * 0.8 / (5 / 6)
    file[0] = 0.2
    assert float(file.sum()) == pytest.approx(1)
    error = math.sqrt(1500 * 1 / 6 * 5 / 6)
    assert round(error, 1) == 14.4 and round(50 / error, 1) == 3.5
    assert round(float(-(file * file.log()).sum()), 2) == 2.09
    assert round(float(-(file * priors.log()).sum()), 2) == 2.10
    tail = math.erfc(50 / error / math.sqrt(2))  # to either side
    assert 1 / 2500 < tail < 1 / 1500 and 200 < 1 / (9 * tail) < 300
    assert 0.009 < math.sqrt(0.8 * 0.2 / 1500) < 0.011


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps1-fill", "from course_lib.classroom.references import ps1 as a", "references"),
        ("ps1-fill", "def fill(*given): return ps1.fill(*given)", "ps1.fill"),
        ("ps1-class-of", "class_of = shapeset.LABEL_OF_PAIR", "LABEL_OF_PAIR"),
        ("ps1-verdicts", "verdicts = ps1.verdicts(setting)", "ps1.verdicts"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    (line,) = sources.flagged(SOURCE, assignment.submission(SOURCE, {cell: code}))
    assert line == f"{cell} uses {word}"


def test_own_work_is_not_flagged():
    assert sources.flagged(SOURCE, assignment.submission(SOURCE)) == []
    assert sources.flagged(SOURCE, assignment.submission(SOURCE, NUMPY)) == []
