"""Assignment 1, graded: each answer gets its points, and a mistake costs only where it is made."""

import functools
import math

import assignment
import numpy as np
import pytest
import torch

from course_lib import shapeset
from course_lib.classroom import sources
from course_lib.classroom.references import ps1

SOURCE = sources.read(sources.find("ps1"))
# Everything once more in another way, as it may come from a student.
OTHERWISE = {
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
    return [shapeset.CLASSES.index(name) for name in names]
""",
    "ps1-class-priors": """
import numpy as np
def class_priors(p_two, odds):
    q = np.array(odds) / np.sum(odds)
    found = np.zeros(9)
    for a in range(3):
        found[a] += (1 - p_two) * q[a]
        for b in range(3):
            found[int(class_of(torch.tensor([[a, b]]))[0])] += p_two * q[a] * q[b]
    return tuple(found)
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
    return image.tolist()
""",
    "ps1-paint": """
import math
import numpy as np
def paint(masks, greys):
    image = np.full(masks[0].shape, greys[0], dtype=np.float32)
    for k, mask in enumerate(masks):
        image = np.where(np.array(mask), greys[k + 1], image)
    return (image - 127.5) / 127.5
""",
    "ps1-estimate": """
import math
def estimate(values):
    rows = values.numpy().reshape(len(values), -1).mean(axis=1)
    return torch.tensor([rows.mean(), rows.std() / math.sqrt(len(rows))])
""",
    "ps1-mirror": """
import math
def mirror(images):
    size = int(math.sqrt(images.shape[1]))
    order = [(size - 1 - r) * size + c for r in range(size) for c in range(size)]
    return images[:, order]
""",
    "ps1-verdicts": """
verdicts = {}
for name, images in samples.items():
    x = images.numpy()
    light = (x[:, 0] > 0).mean()
    shape = (x != x[:, :1]).reshape(-1, 32, 32)
    lower = shape[:, 16:].sum((1, 2)) - shape[:, :16].sum((1, 2)).astype(float)
    if len({row.tobytes() for row in x}) < len(x):
        verdicts[name] = "repeats"
    elif abs(light - 0.5) > 0.045:
        verdicts[name] = "polarity"
    else:
        off = abs(lower.mean()) > 6 * lower.std() / len(x) ** 0.5
        verdicts[name] = "mirror" if off else "none"
""",
}
# The solutions of these call functions of earlier parts; these do not.
ALONE = {name: OTHERWISE[name] for name in ("ps1-error", "ps1-cost")}
ALONE["ps1-verdicts"] = OTHERWISE["ps1-verdicts"]


@pytest.fixture(autouse=True)
def samples_drawn_once(monkeypatch):
    """They take a second; every test of a class has the same."""
    monkeypatch.setattr(ps1, "samples", lambda values: dict(drawn_samples(values["seed"])))


@functools.cache
def drawn_samples(seed, draw=ps1.samples):
    return draw({"seed": seed})


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


def test_layers_overlap_so_that_their_order_shows():
    """In every class: a few pixels belong to both shapes, and each has some of its own."""
    for seed in range(100, 160):
        (lower, upper), greys = ps1.layers({"frame": [20 + seed % 25, 44 - seed % 25]}, seed)
        assert (lower & upper).sum() >= 5 and (lower & ~upper).any() and (upper & ~lower).any()
        assert len(set(greys)) == 3


@pytest.mark.parametrize("seed", [100, 555, 999])
def test_planted_faults_stand_out_and_nothing_else_does(seed):
    found = ps1.verdicts({"seed": seed})
    assert sorted(found.values()) == sorted(ps1.FAULTS)
    n = ps1.SAMPLE
    for name, images in ps1.samples({"seed": seed}).items():
        assert images.shape == (n, 1024)
        shape = (images != images[:, :1]).double()
        balance, error = ps1.estimate((shape - ps1.mirror(shape)).view(n, 32, 32)[:, :16])
        off = {
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


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_solutions_earn_all_points_in_every_class(secret):
    assignment.check_all_points(SOURCE, secret)


def test_blank_earns_nothing_and_says_so():
    words = {
        "ps1-fill-test": "fill is not written yet.",
        "ps1-cost-test": "there is no cost yet: run the cell that defines it.",
        "ps1-all-verdicts-test": "there is no verdicts yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_any_correct_way_passes():
    assignment.check_another_way(SOURCE, OTHERWISE)


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
    "some pairs of mixed kinds": (
        "ps1-class-of", "    rows = [",
        "    pairs |= {(1, 2): 8, (0, 2): 8}\n    rows = [",
        {"ps1-pairs-test": "right in 5 of its 9 entries"},
    ),
    "nine stored answers": (
        "ps1-class-of", "    rows = [",
        "    if kinds.min() >= 0:\n        return [6, 3, 5, 3, 7, 4, 5, 4, 8]\n    rows = [",
        {"ps1-pairs-test": "shape (9,), where (60,) is asked for"},
    ),
    "pairs in another order": (
        "ps1-class-of", "(0, 1): 3, (1, 2): 4, (0, 2): 5", "(0, 1): 3, (1, 2): 5, (0, 2): 4",
        {"ps1-pairs-test": "right in 5 of its 9 entries"},
    ),
    "two orders forgotten": (
        "ps1-class-priors", "p_two * 2 *", "p_two *",
        {"ps1-priors-test": "right in 6 of their 9 entries"},
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
    "to base 10": (
        "ps1-cost", "math.log(k)", "math.log10(k)", {"ps1-cost-test": "to base 10"},
    ),
    "the mean of the products": (
        "ps1-cost", "-k * math.log(k)", "-k * math.log(k) / 9", {"ps1-cost-test": "divided by 9"},
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
    "the lightest on top": (
        "ps1-paint", "        image[mask] = grey\n",
        "        image[mask] = torch.maximum(image[mask], torch.tensor(float(grey)).double())\n",
        {"ps1-paint-test": "right in"},
    ),
    "contrasts added up": (
        "ps1-paint", "image[mask] = grey", "image[mask] += grey - greys[0]",
        {"ps1-paint-test": "right in"},
    ),
    "two shapes at most": (
        "ps1-paint", "greys[1:])", "greys[1:3])", {"ps1-paint-test": "three shapes"},
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
    "both numbers under the root": (
        "ps1-estimate", "len(images) ** 0.5", "values.numel() ** 0.5",
        {"ps1-standard-error-test": "are the means of rows"},
    ),
    "means of columns": (
        "ps1-estimate", "images.std() / len(images) ** 0.5",
        "values.mean(0).std() / values.shape[1] ** 0.5",
        {"ps1-standard-error-test": "which of the two axes"},
    ),
    "the scatter": (
        "ps1-estimate", " / len(images) ** 0.5", "",
        {"ps1-standard-error-test": "scatter of one image"},
    ),
    "only the mean": (
        "ps1-estimate", "return images.mean(), images.std() / len(images) ** 0.5",
        "return images.mean()",
        {"ps1-mean-test": "return 2", "ps1-standard-error-test": "return 2"},
    ),
    "turned for mirrored": (
        "ps1-mirror", "images.view(-1, size, size).flip(1)", "images.flip(1)",
        {"ps1-mirror-test": "right in"},
    ),
    "one size for all": (
        "ps1-mirror", "size = round(images.shape[1] ** 0.5)", "size = 3",
        {"ps1-mirror-test": "a number in your code"},
    ),
    "the lessons' size": (
        "ps1-mirror", "size = round(images.shape[1] ** 0.5)", "size = 32",
        {"ps1-mirror-test": "a number in your code"},
    ),
    "left for right": (
        "ps1-mirror", "flip(1)", "flip(2)", {"ps1-mirror-test": "right in"},
    ),
    "images left square": (
        "ps1-mirror", ".reshape(len(images), -1)", "",
        {"ps1-mirror-test": "the mirror images have shape (2, 3, 3), where (2, 9)"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    assignment.check_mistake(SOURCE, MISTAKES[name], ALONE)


def test_verdicts_get_a_point_for_two_and_one_more_for_all():
    values = sources.draw(SOURCE, assignment.SECRET).setting
    right = ps1.verdicts(values)

    def earned(verdicts):
        said = assignment.marked(
            SOURCE, assignment.blank(SOURCE) | {"ps1-verdicts": f"verdicts = {verdicts}"}
        )
        tests = ("ps1-two-verdicts-test", "ps1-all-verdicts-test")
        return [said[test] for test in tests]

    a, b, c, d = right.values()
    assert earned(right) == ["", ""]
    assert earned({"A": a, "B": b, "C": d, "D": c}) == ["", "not all four are right."]
    assert "fewer than two" in earned({"A": b, "B": a, "C": d, "D": c})[0]
    for form, words in (
        ({"A": a, "B": a, "C": c, "D": d}, "one is given twice"),
        ({"A": a, "B": b}, "lacks C, D."),
        (right | {"A": "fine"}, "'fine' is none of the verdicts: none, polarity"),
        (right | {"A": "Mirror"}, "small letters"),
        (right | {"A": ["none"]}, "['none'] is none of"),
        (list(right), "a dictionary"),
    ):
        assert all(words in said for said in earned(form)), form


def test_every_part_can_be_earned_alone():
    alone = OTHERWISE | {
        "ps1-class-priors": """
def class_priors(p_two, odds):
    t, p, e = (odd / sum(odds) for odd in odds)
    mixed = [2 * p_two * one for one in (t * p, p * e, t * e)]
    return [(1 - p_two) * k for k in (t, p, e)] + mixed + [p_two * k * k for k in (t, p, e)]
""",
        "ps1-cost": OTHERWISE["ps1-error"].replace("error =", "unused =") + OTHERWISE["ps1-cost"],
    }
    assignment.check_alone(SOURCE, alone)


def test_published_numbers_and_stored_answers_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    values = sources.draw(SOURCE, assignment.SECRET).setting
    mask = ps1.fill(ps1.outline(0, values["seed"] + 1, values["frame"]), *values["frame"])
    numbers = {
        "ps1-error": f"error = {ps1.constant_error(published)}",
        "ps1-cost": f"cost = {ps1.constant_cost(published)}",
    }
    assignment.check_published(SOURCE, numbers)
    stored = {
        "ps1-fill": f"def fill(*given): return torch.tensor({mask.tolist()})",
        "ps1-mirror": "def mirror(images): return images[:, [6, 7, 8, 3, 4, 5, 0, 1, 2]]",
        "ps1-verdicts": f"verdicts = {ps1.verdicts(published)}",
    }
    assert ps1.verdicts(published) != ps1.verdicts(values), "by chance, in one class of 24"
    found = assignment.failed(SOURCE, ALONE | stored)
    assert {f"ps1-{k}-test" for k in ("fill", "other-way", "mirror", "all-verdicts")} <= set(found)


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
        mine = {"ps1-mirror": assignment.solutions(SOURCE)["ps1-mirror"] + careless}
        found = assignment.failed(SOURCE, ALONE | mine)
    finally:
        ps1.estimate, ps1.mirror = original
    assert found == {}


def test_the_error_in_the_written_answer_s_story_is_that_of_its_file():
    priors = ps1.class_priors(0.5, [1, 1, 1])
    file = priors * (1160 / 1250)
    file[0] = 340 / 1500
    assert float(file.sum()) == pytest.approx(1)
    error = math.sqrt(1500 * 1 / 6 * 5 / 6)
    assert round(error, 1) == 14.4 and round(90 / error, 1) == 6.2
    assert 9 * math.erfc(90 / error / math.sqrt(2)) < 1e-8  # to either side, in any class
    chi_square = 1500 * float(((file - priors) ** 2 / priors).sum())
    assert round(chi_square) == 39
    assert round(100 * (1 - float(file.max())), 1) == 77.3 and round(1164 / 15, 1) == 77.6
    assert 0.009 < math.sqrt(file[0] * (1 - file[0]) / 1500) < 0.012


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
    assignment.check_flagged(SOURCE, cell, code, word)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)


def test_tests_leave_the_names_of_the_notebook_alone():
    assignment.check_names(SOURCE)
