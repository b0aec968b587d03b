"""Shapeset-3x2: one or two triangles, parallelograms and ellipses on a small grey image.

The infinite data set of Glorot & Bengio (2010), section 2.1, as a pure function of a seed. It
follows the distribution of the authors' published generator, not its code. The random numbers are
drawn on the CPU, so every device shows the same images; the pixels are filled on the device.

Lengths are pixels of a 32 x 32 frame, points are (x, y) with y down, as in the image.
"""

import itertools
import math
from dataclasses import dataclass, fields

import numpy as np
import torch

KINDS = ("triangle", "parallelogram", "ellipse")
CORNERS = (3, 4, 20)  # the authors draw the ellipse as a polygon with 20 corners
CLASSES = (
    "triangle",
    "parallelogram",
    "ellipse",
    "triangle + parallelogram",
    "parallelogram + ellipse",
    "triangle + ellipse",
    "two triangles",
    "two parallelograms",
    "two ellipses",
)
LABEL_OF_PAIR = torch.tensor([[6, 3, 5], [3, 7, 4], [5, 4, 8]])  # [kind of first, kind of second]

FRAME = 32
MARGIN = 1  # no shape touches the frame
SCALES = (0.2, 0.8)  # of the frame
ANGLES = 255  # turns are multiples of 2 pi / 255
DARK, LIGHT = (0, 114), (140, 255)  # grey levels of the background and the objects, or inverted
ROUNDS = (1, 6, 43)  # proposals for the place of a second object: 50, then it is dropped
BLOCK = 1000  # images drawn at once by a stream


def _regular(corners):
    """Regular polygon of radius 0.5 with a horizontal base, its last corner repeated: (2, 20)."""
    steps = torch.arange(20, dtype=torch.float64).clamp(max=corners - 1)
    angle = 2 * math.pi * ((steps + 0.5) / corners + 0.25)
    return 0.5 * torch.stack([angle.cos(), angle.sin()])


REGULAR = torch.stack([_regular(corners) for corners in CORNERS])
AREA_OF_UNIT = torch.tensor([n / 8 * math.sin(2 * math.pi / n) for n in CORNERS]).double()


@dataclass
class Parameters:
    """What determines n images. Objects that an image does not have are of kind -1.

    Attributes
    ----------
    kinds : (n, 2) int64, index into ``KINDS``; the second object covers the first
    labels : (n,) int64, index into ``CLASSES``
    greys : (n, 3) int64, background, first and second object, 0 to 255
    corners : (n, 2, 20, 2), (x, y) of the corners; spare places repeat the last corner
    centres, scales : (n, 2, 2), centre (x, y); lengths of the two axes, the longer first
    turns : (n, 2), final angle in radians, from x towards y
    """

    kinds: torch.Tensor
    labels: torch.Tensor
    greys: torch.Tensor
    corners: torch.Tensor
    centres: torch.Tensor
    scales: torch.Tensor
    turns: torch.Tensor

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, images):
        """The parameters of some images: a slice, a mask or a tensor of indices."""
        return Parameters(*(getattr(self, field.name)[images] for field in fields(self)))


def parameters(n, seed):
    """Draw what determines n images of Shapeset-3x2.

    Parameters
    ----------
    n : int, number of images, at least 1
    seed : int of at least 0; the same n and seed give the same parameters

    Returns
    -------
    Parameters

    Raises
    ------
    ValueError
        For any other n or seed.
    """
    _whole("n", n, least=1)
    _whole("seed", seed, least=0)
    return _draw(n, np.random.SeedSequence(seed))


def _draw(n, seed_sequence):
    # NumPy's generator keeps all bits of the seed; torch.Generator on the CPU keeps 32 of them.
    rng = np.random.default_rng(seed_sequence)
    two = torch.from_numpy(rng.random(n) < 0.5)
    kinds = torch.from_numpy(rng.integers(0, 3, (n, 2)))
    # Stretching a tilted regular polygon gives any triangle or parallelogram. A tilt beyond half
    # the symmetry step would repeat another one.
    tilts = torch.tensor([ANGLES // corners for corners in CORNERS])[kinds]
    tilts = (_uniform(rng, n, 2) * tilts).floor() - tilts // 2
    turns = torch.from_numpy(rng.integers(0, ANGLES - 1, (n, 2))).double()
    tilts, turns = tilts * (2 * math.pi / ANGLES), turns * (2 * math.pi / ANGLES)
    first = _place(kinds[:, 0], tilts[:, 0], turns[:, 0], _uniform(rng, n, 4))
    scales, centres, points = [torch.stack([x, torch.zeros_like(x)], dim=1) for x in first]

    # The second object is placed again while it hides too much of the first. Several proposals
    # at a time, of which the first good one counts, save rounds for the last few images.
    pending = two.nonzero()[:, 0]
    for tries in ROUNDS:
        if len(pending) == 0:
            break
        kind, tilt, turn = kinds[pending, None], tilts[pending, None], turns[pending, None]
        uniform = _uniform(rng, len(pending), tries, 4)
        second = _place(kind[..., 1], tilt[..., 1], turn[..., 1], uniform)
        before = scales[pending, :1], centres[pending, :1], points[pending, :1]
        good = ~_hides(kind, before, second)
        found, choice = good.any(1), good.byte().argmax(1)
        for placed, proposed in zip((scales, centres, points), second, strict=True):
            placed[pending[found], 1] = proposed[found, choice[found]]
        pending = pending[~found]
    two[pending] = False

    dark = torch.from_numpy(rng.integers(DARK[0], DARK[1] + 1, (n, 3)))
    light = torch.from_numpy(rng.integers(LIGHT[0], LIGHT[1] + 1, (n, 3)))
    is_light = torch.from_numpy(rng.random((n, 1)) < 0.5) ^ torch.tensor([True, False, False])
    labels = torch.where(two, LABEL_OF_PAIR[kinds[:, 0], kinds[:, 1]], kinds[:, 0])
    kinds[~two, 1] = -1
    corners = (points + centres[..., None]).transpose(2, 3).float()
    greys = torch.where(is_light, light, dark)
    return Parameters(kinds, labels, greys, corners, centres, scales, turns)


def _uniform(rng, *shape):
    return torch.from_numpy(rng.random(shape))


def _place(kinds, tilts, turns, uniform):
    """Scales, centres and corners around the centre (..., 2, 20), from four uniform numbers."""
    low, high = SCALES[0] * FRAME, SCALES[1] * FRAME
    scales = low + (high - low) * uniform[..., :2].sort(dim=-1, descending=True)[0]
    long, short = scales.unbind(-1)
    # Tilted by t, stretched along x and y, and turned back so that its base is horizontal, a
    # regular polygon has become `width` times as wide and `height` times as high, and sheared.
    cos, sin = tilts.cos(), tilts.sin()
    width = torch.hypot(long * cos, short * sin)
    height = long * short / width
    shear = (short**2 - long**2) * cos * sin / width
    cos, sin = turns.cos(), turns.sin()
    base = torch.stack([width * cos, width * sin], dim=-1)
    side = torch.stack([shear * cos - height * sin, shear * sin + height * cos], dim=-1)
    x, y = REGULAR[kinds][..., None, :].unbind(-3)
    points = base[..., None] * x + side[..., None] * y
    lowest = MARGIN - points.amin(-1)
    room = FRAME - MARGIN - points.amax(-1) - lowest
    return scales, lowest + room * uniform[..., 2:], points


def _hides(kinds, first, second):
    """The authors' estimate of whether the second object hides too much of the first.

    It compares the extents of both along the line of their centres with the distance.
    """
    (scales1, centres1, points1), (scales2, centres2, points2) = first, second
    line = centres2 - centres1
    extents = (points1 * line[..., None]).sum(-2).amax(-1)
    extents = extents - (points2 * line[..., None]).sum(-2).amin(-1)
    excess = extents / line.square().sum(-1) - 1  # of the extents, in distances
    area1, area2 = scales1.prod(-1), scales2.prod(-1)
    ratio = area2 / area1 * (AREA_OF_UNIT[kinds[..., 1]] / AREA_OF_UNIT[kinds[..., 0]])
    return (excess >= 0) & (ratio * (1 - torch.exp2(-excess)) > 0.5)


def render(parameters, size=FRAME, device="cpu"):
    """Draw the images of some parameters, without anti-aliasing.

    Parameters
    ----------
    size : int, pixels per side, at least 8; the geometry is scaled from 32
    device : where the pixels are filled; it does not change the images

    Returns
    -------
    tensor (n, size*size) float32 in [-1, 1]
        Rows from top to bottom: 2 v/255 - 1 of grey levels v.
    """
    _whole("size", size, least=8)
    n = len(parameters)
    images = torch.empty(n, size * size, device=device)
    for start in range(0, n, BLOCK):  # pieces that stay in the processor's cache
        piece = slice(start, start + BLOCK)
        _fill_(images[piece], parameters[piece], size)
    return images


def _fill_(images, parameters, size):
    levels = _grey_levels(parameters, size, images.device)
    images.copy_(levels).sub_(127.5).mul_(1 / 127.5)


def _grey_levels(parameters, size, device):
    """Images (n, size*size) uint8 of some parameters."""
    kinds = parameters.kinds.to(device)
    greys = parameters.greys.to(device, torch.uint8)[..., None]
    corners = (parameters.corners.to(device) * (size / FRAME)).floor()
    # A convex shape covers one span of each column, an absent one the empty span.
    spans = torch.full((*kinds.shape, size), _span(size - 1, 0, size), device=device)
    for kind, count in enumerate(CORNERS):
        which = kinds == kind
        spans[which] = _column_spans(corners[which][:, :count], size)
    table = _span_table(size, device)
    columns = greys[:, 0].repeat(1, size * size)
    for i in range(2):
        mask = table.index_select(0, spans[:, i].flatten()).view(-1, size * size)
        columns ^= mask.bitwise_and_(columns ^ greys[:, i + 1])  # the object's grey where inside
    return columns.view(-1, size, size).transpose(1, 2).reshape(-1, size * size)


def _column_spans(corners, size):
    """Spans (m, size) of convex polygons with whole-numbered corners (m, corners, 2)."""
    x1, y1 = corners.permute(2, 1, 0).contiguous()  # objects come last: they are the longest axis
    x2, y2 = x1.roll(-1, 0), y1.roll(-1, 0)
    width, half = (x2 - x1).abs(), (x2 - x1).abs() / 2
    left, y_left = torch.minimum(x1, x2), torch.where(x1 <= x2, y1, y2)
    rise = torch.where(x1 <= x2, y2 - y1, y1 - y2)
    column = torch.arange(size, device=corners.device, dtype=corners.dtype).view(-1, 1, 1)
    # The authors' library divides integers: y is rounded towards that of the edge's left end.
    step = column - left
    y = (step * rise).div_(width.clamp(min=1)).trunc_().add_(y_left)
    # Columns beyond the two ends of an edge do not meet it: push its y out of the way.
    beyond = step.sub_(half).abs_().sub_(half).clamp_(min=0).mul_(1e4)
    first = y.add_(beyond).amin(1).clamp_(max=size - 1)
    last = y.sub_(beyond, alpha=2).amax(1).clamp_(min=0)
    return _span(first, last, size).T.long()


def _span(first, last, size):
    return first * size + last


def _span_table(size, device):
    """Masks (size^2, size) uint8 by span: 255 from first to last pixel, 0 elsewhere."""
    pixel = torch.arange(size, device=device)
    inside = (pixel >= pixel[:, None, None]) & (pixel <= pixel[:, None])
    return inside.view(size * size, size).to(torch.uint8) * 255


def sample(n, seed, size=FRAME, device="cpu"):
    """Draw n images of Shapeset-3x2 and their classes.

    Glorot & Bengio (2010), section 2.1. The same arguments give the same images.

    Returns
    -------
    images : tensor (n, size*size) float32 in [-1, 1]
    labels : tensor (n,) int64, indices of ``CLASSES``

    Raises
    ------
    ValueError
        If n, seed or size is not a whole number, or is below 1, 0 or 8.
    """
    drawn = parameters(n, seed)
    return render(drawn, size, device), drawn.labels.to(device)


class Stream:
    """An endless sequence of images of Shapeset-3x2 in batches: stream.batch(k), or iterate.

    Parameters
    ----------
    batch_size : int, images per batch, at least 1
    seed : int of at least 0; it determines the sequence, whatever the batch size
    size, device : as in `render`

    Notes
    -----
    Batch k is a function of the arguments and k alone, so that a stopped run resumes on the same
    data. Images are made in blocks of 1,000, each from its own seed, and the last block is kept.
    """

    def __init__(self, batch_size, seed, size=FRAME, device="cpu"):
        _whole("batch_size", batch_size, least=1)
        _whole("seed", seed, least=0)
        _whole("size", size, least=8)
        self.batch_size, self.seed, self.size, self.device = batch_size, seed, size, device
        self._images = torch.empty(BLOCK, size * size, device=device)  # used again and again
        self._kept = None, None

    def batch(self, k):
        """Images (batch_size, size*size) and labels (batch_size,) of batch k = 0, 1, ..."""
        _whole("k", k, least=0)
        images, labels = self.batches(k, k + 1)
        return images[0].clone(), labels[0].clone()

    def batches(self, start, stop):
        """Batches start to stop - 1, in memory that the next call may use again.

        Returns
        -------
        images : tensor (stop - start, batch_size, size*size);  labels : (stop - start, batch_size)
        """
        place, end = start * self.batch_size, stop * self.batch_size
        parts = []
        while place < end:
            block, offset = divmod(place, BLOCK)
            part = slice(offset, offset + end - place)
            images, labels = self._block(block)
            parts.append((images[part], labels[part]))
            place += len(labels[part])
            if place < end:  # the next block takes this one's memory
                parts[-1] = tuple(values.clone() for values in parts[-1])
        images, labels = parts[0] if len(parts) == 1 else map(torch.cat, zip(*parts, strict=True))
        return images.view(stop - start, self.batch_size, -1), labels.view(stop - start, -1)

    def _block(self, block):
        if self._kept[0] != block:
            drawn = _draw(BLOCK, np.random.SeedSequence(self.seed, spawn_key=(block,)))
            self._kept = None, None  # should filling it be interrupted
            _fill_(self._images, drawn, self.size)
            self._kept = block, (self._images, drawn.labels.to(self.device))
        return self._kept[1]

    def __iter__(self):
        return map(self.batch, itertools.count())

    @property
    def config(self):
        """What determines the batches, for JSON."""
        return {
            "data": "Shapeset-3x2",
            "batch_size": self.batch_size,
            "seed": self.seed,
            "size": self.size,
        }


def polygons(parameters, i):
    """Corners of the objects of image i, lowest first: a list of arrays (corners, 2) of (x, y).

    Pixels of a 32 x 32 frame, from its upper left corner: pixel (row, column) is centred on
    (column + 0.5, row + 0.5). Raises ValueError unless 0 <= i < n.
    """
    _whole("i", i, least=0)
    if i >= len(parameters):
        raise ValueError(f"i must be below {len(parameters)}, the number of images, not {i}")
    kinds, corners = parameters.kinds[i].tolist(), parameters.corners[i].numpy()
    return [c[: CORNERS[kind]] for kind, c in zip(kinds, corners, strict=True) if kind >= 0]


def describe(parameters, i):
    """Describe the objects of image i, lowest first, in words and plain numbers.

    Returns
    -------
    list of dict
        kind; grey (0 to 255) and background; centre (x, y), long_axis and short_axis in pixels of
        a 32 x 32 frame; area in square pixels; turn in degrees from x towards y.

    Raises
    ------
    ValueError
        Unless 0 <= i < n.
    """
    count = len(polygons(parameters, i))
    background, *greys = parameters.greys[i].tolist()
    objects = []
    for j in range(count):
        kind = int(parameters.kinds[i, j])
        long, short = parameters.scales[i, j].tolist()
        objects.append(
            {
                "kind": KINDS[kind],
                "grey": greys[j],
                "background": background,
                "centre": tuple(parameters.centres[i, j].tolist()),
                "long_axis": long,
                "short_axis": short,
                "area": long * short * float(AREA_OF_UNIT[kind]),
                "turn": math.degrees(parameters.turns[i, j]),
            }
        )
    return objects


def draw(axes, parameters, i, size=FRAME):
    """Show image i with the outlines of its objects on matplotlib axes; return the axes.

    The first object has a solid outline, the one that covers it a dashed one.
    """
    outlines = polygons(parameters, i)
    image = render(parameters[i : i + 1], size).view(size, size).numpy()
    axes.imshow(image, cmap="gray", vmin=-1, vmax=1, extent=(0, FRAME, FRAME, 0))
    for outline, colour, style in zip(outlines, ("#D55E00", "#56B4E9"), ("-", "--"), strict=False):
        axes.plot(*np.append(outline, outline[:1], axis=0).T, color=colour, linestyle=style)
    return axes


def _whole(name, value, least):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
