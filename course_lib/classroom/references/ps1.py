"""Assignment 1, generate and inspect Shapeset: its examples, and the library's answers."""

import itertools
import math

import numpy as np
import torch

from course_lib import checks, shapeset

FAULTS = ("none", "polarity", "mirror", "repeats")
NAMES = ("A", "B", "C", "D")
KEPT = 0.4  # the share of the unwanted images that a faulty generator still lets through
SAMPLE = 3000


# ---- examples
def outline(kind, seed, frame=(32, 32), clockwise=True):
    """Return the corners (m, 2), as (x, y) in pixels, of a shape in a frame of (rows, columns).

    Kinds are numbered as in ``shapeset.KINDS``. The centre of no pixel lies within 0.001 of an
    edge, so that rounding decides nothing. y points down: clockwise is as seen on the image.
    """
    rows, columns = frame
    drawn = shapeset.parameters(400, seed)
    for i in (drawn.kinds[:, 0] == kind).nonzero()[:, 0].tolist():
        corners = torch.from_numpy(shapeset.polygons(drawn, i)[0]).double()
        corners = corners * torch.tensor([columns, rows]) / shapeset.FRAME
        if _depth(corners, rows, columns).abs().min() > 1e-3:
            return corners if clockwise else corners.flip(0)
    raise ValueError(f"no shape of kind {kind} keeps clear of all pixels' centres; seed {seed}")


def layers(values, seed):
    """Return two masks (rows, columns) that overlap, and three grey levels, for `paint`."""
    rows, columns = values["frame"]
    lower = fill(outline(2, seed, (rows, columns)), rows, columns)
    upper = (fill(outline(0, k, (rows, columns)), rows, columns) for k in itertools.count(seed + 1))
    masks = [lower, next(mask for mask in upper if _overlap(lower, mask))]
    greys = np.random.default_rng(seed).choice(256, 3, replace=False)
    return masks, [int(grey) for grey in greys]


def _overlap(one, other):
    parts = (one & other, one & ~other, other & ~one)
    return all(int(part.sum()) >= 5 for part in parts)


def scenes(seed, count=120):
    """Return the squares of the pixels of some images: values (count, 64), alike within a row."""
    images, _ = shapeset.sample(count, seed, size=8)
    return images.double().square()


# ---- answers
def class_of(kinds):
    """Part 1: the index into ``shapeset.CLASSES`` of each pair of kinds, -1 for no second one."""
    first, second = kinds.unbind(1)
    return torch.where(second < 0, first, shapeset.LABEL_OF_PAIR[first, second])


def class_priors(p_two, odds):
    """Part 2: how often each class occurs where two shapes have the probability `p_two`."""
    q = torch.tensor(odds, dtype=torch.float64)
    q = q / q.sum()
    priors = torch.zeros(9, dtype=torch.float64)
    priors[:3] = (1 - p_two) * q
    for a in range(3):
        for b in range(3):
            priors[shapeset.LABEL_OF_PAIR[a, b]] += p_two * q[a] * q[b]
    return priors


def constant_error(values):
    """Part 2: the error of the best constant answer."""
    return 1 - float(class_priors(values["p_two"], values["odds"]).max())


def constant_cost(values):
    """Part 2: the cost, in nats, of the best constant probabilities."""
    priors = class_priors(values["p_two"], values["odds"])
    return -float(torch.special.xlogy(priors, priors).sum())


def miscosts(values):
    """Part 2: costs that are likely, and what leads to each; for its visible test."""
    priors, right = class_priors(values["p_two"], values["odds"]), constant_cost(values)
    published = math.log(6) / 2 + math.log(9) / 3 + math.log(18) / 6
    return [
        (right / math.log(2), "That is in bits: nats take the natural logarithm."),
        (right / math.log(10), "That is to base 10: nats take the natural logarithm."),
        (right / 9, "That is the sum over the classes, divided by 9: are they not weighted yet?"),
        (math.log(9), "That is for nine classes that are equally frequent, or taken for it."),
        (-float(priors.max().log()), "That is what the commonest class alone pays."),
        (-float(priors.log().mean()), "Do all classes come up equally often, to pay?"),
        (published, "That is lesson 2's generator, not your class's."),
        (-right, "A cost is positive: which sign does the logarithm of a probability have?"),
    ]


def fill(corners, rows, columns):
    """Part 3: True where the centre of a pixel is inside the convex polygon, (rows, columns)."""
    return _depth(corners, rows, columns) > 0


def _depth(corners, rows, columns):
    """Return how far each pixel's centre is inside all edges; negative outside."""
    corners = torch.as_tensor(corners, dtype=torch.float64)
    edges = corners.roll(-1, 0) - corners
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    place = torch.stack([x, y], dim=-1)[..., None, :] - corners  # from each corner, (..., m, 2)
    side = (edges[:, 0] * place[..., 1] - edges[:, 1] * place[..., 0]) / edges.norm(dim=1)
    area = (corners[:, 0] * corners.roll(-1, 0)[:, 1]).sum()
    area = area - (corners[:, 1] * corners.roll(-1, 0)[:, 0]).sum()
    return (side * area.sign()).amin(-1)


def paint(masks, greys):
    """Part 4: the image of shapes, lowest first, on a background: (rows, columns) in [-1, 1]."""
    image = torch.full(masks[0].shape, float(greys[0]), dtype=torch.float64)
    for mask, grey in zip(masks, greys[1:], strict=True):
        image[mask] = float(grey)
    return 2 * image / 255 - 1


def estimate(values):
    """Part 5: the mean of values (n, k), and its standard error over n independent rows."""
    rows = values.double().reshape(len(values), -1).mean(1)
    return rows.mean(), rows.std() / math.sqrt(len(rows))


def two(pair):
    """Part 5: the two numbers of an answer, in a list, tuple, tensor or array; `NotYet` if none."""
    one_row = isinstance(pair, (list, tuple)) or getattr(pair, "ndim", 0) == 1
    checks.require(one_row and len(pair) == 2, "estimate should return 2 numbers.")
    return list(pair)


def misestimates(values):
    """Part 5: standard errors that are likely, and what leads to each; for its visible test."""
    rows = values.double().mean(1)
    n, k = values.shape
    return [
        (values.std() / math.sqrt(n * k), "That takes all pixels for independent; are they?"),
        (values.std() / math.sqrt(n), "The scatter of pixels is not that of images."),
        (rows.std(), "That is the scatter of one image, not of the mean of all."),
        (values.double().mean(0).std() / math.sqrt(k), "Which of the two axes counts the images?"),
        (rows.std() / n, "How does the error of a mean fall with the number of images?"),
        (rows.var() / n, "That is the variance of the mean: the error is its root."),
        (rows.std() / math.sqrt(k), "Which of the two numbers counts the images?"),
        (
            rows.std() / math.sqrt(n * k),
            "How many numbers are the means of rows?",
        ),
    ]


def mirror(images):
    """Part 5: square images (n, size*size), each with top and bottom exchanged.

    Left and right would not do: the authors' library rounds towards the left end of an edge, so
    that the right half of an image holds a few pixels more.
    """
    size = math.isqrt(images.shape[1])
    return images.reshape(len(images), size, size).flip(1).reshape(images.shape)


# ---- part 6: samples, some of them faulty
def verdicts(values):
    """Part 6: what is wrong with each sample of a class, a dict of NAMES to FAULTS."""
    order = np.random.default_rng([values["seed"], 6]).permutation(len(FAULTS))
    return {name: FAULTS[k] for name, k in zip(NAMES, order, strict=True)}


def samples(values):
    """Return, for each of NAMES, images (`SAMPLE`, 1024); see `verdicts`."""
    return {
        name: _faulty(fault, 10 * values["seed"] + k)
        for k, (name, fault) in enumerate(verdicts(values).items())
    }


def _faulty(fault, seed):
    drawn = shapeset.parameters(2 * SAMPLE, seed)
    rng = np.random.default_rng([seed, 1])
    unwanted = {
        "polarity": drawn.greys[:, 0] > 127,
        "mirror": drawn.centres[:, 0, 1] > shapeset.FRAME / 2,
    }.get(fault, torch.zeros(len(drawn), dtype=torch.bool))
    kept = ~unwanted | torch.from_numpy(rng.random(len(drawn)) < KEPT)
    chosen = kept.nonzero()[:SAMPLE, 0]
    if fault == "repeats":  # the last tenth has been seen before
        again = rng.integers(0, SAMPLE * 9 // 10, SAMPLE // 10)
        chosen[-len(again) :] = chosen[torch.from_numpy(again)]
        chosen = chosen[torch.from_numpy(rng.permutation(SAMPLE))]
    return shapeset.render(drawn[chosen])


def form_off(given):
    """Part 6: what is wrong with the form of the verdicts `given`; an empty text if nothing."""
    if not isinstance(given, dict):
        return "verdicts should be a dictionary."
    if missing := [name for name in NAMES if name not in given]:
        return f"verdicts lacks {', '.join(missing)}."
    if odd := [given[name] for name in NAMES if given[name] not in FAULTS]:
        return f"{odd[0]!r} is none of the verdicts: {', '.join(FAULTS)}, in small letters."
    if len({given[name] for name in NAMES}) < len(NAMES):
        return "each verdict belongs to one sample; here one is given twice."
    return ""


def right_verdicts(values, given):
    """Part 6: how many of the verdicts `given` are right."""
    return sum(given.get(name) == fault for name, fault in verdicts(values).items())
