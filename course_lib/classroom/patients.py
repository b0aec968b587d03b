"""The networks of assignment 4: one is healthy, the others have each a fault that was planted.

A class draws which network has which fault, and in which layer; students get a file for each.
"""

import pathlib
import zipfile

import numpy as np
import torch

from course_lib import instruments, models, report, shapeset, storage

NAMES = ("a", "b", "c", "d", "e", "f")
SIDE = 16  # of a picture, in pixels
# What a network may have: the words of an answer, and the name that a class's draw uses.
CONDITIONS = {
    "healthy": "healthy",
    "weights too large": "large",
    "weights too small": "small",
    "shut by its biases": "shut",
    "equal rows": "equal",
    "exploding gradient": "exploding",
}
# Of these no single layer is to blame; their layer is 0.
NO_LAYER = ("healthy", "exploding gradient")
SMALL, SHUT = 0.05, 6.0  # factor of a layer's weights, size of its biases
LARGE = {"tanh": 15.0, "softsign": 50.0}  # factor of a layer's weights
EXPLODING = {"tanh": 4.0, "softsign": 6.0}  # factor of every hidden layer's weights
# What the published setting's patients have (the draw of the empty secret; a test compares them).
PUBLISHED = {
    "ward": 22742,
    "conditions": ["large", "equal", "small", "shut", "healthy", "exploding"],
    "large": 5,
    "small": 2,
    "shut": 4,
    "equal": 5,
    "seed": 38307,
}


def diagnosis(secret):
    """Return {name: (condition, layer)}: what is wrong with each patient of a class."""
    words = {short: condition for condition, short in CONDITIONS.items()}
    return {
        name: (words[short], secret.get(short, 0))
        for name, short in zip(NAMES, secret["conditions"], strict=True)
    }


def network(setting, condition, layer, seed):
    """Return an ``nn.Sequential`` of the ward's sizes, with a condition planted in a hidden layer.

    Weights are normalized, Glorot & Bengio (2010), Eq. (16), with small biases, before the fault
    is planted. Double precision, with values that single precision holds.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition must be one of {', '.join(CONDITIONS)}, not {condition!r}")
    depth = len(setting["hidden"])
    if condition not in NO_LAYER and layer not in range(1, depth + 1):
        raise ValueError(f"layer must be from 1 to {depth}, not {layer!r}")
    sizes = [SIDE**2, *setting["hidden"], len(shapeset.CLASSES)]
    model = models.MLP(sizes, setting["activation"], seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for bias in model.biases:
        bias.copy_(0.03 * torch.randn(bias.shape, generator=generator))
    weight, bias = model.weights[layer - 1], model.biases[layer - 1]
    if condition == "weights too large":
        weight *= LARGE[setting["activation"]]
    elif condition == "weights too small":
        weight *= SMALL
    elif condition == "shut by its biases":
        bias.copy_(SHUT * bias.sign())
    elif condition == "equal rows":  # of nn.Linear's matrix, whose rows are the units
        weight.copy_(weight[:, :, :1].expand_as(weight))
        bias.copy_(bias[:, :, :1].expand_as(bias))
    elif condition == "exploding gradient":
        for hidden in model.weights[:-1]:
            hidden *= EXPLODING[setting["activation"]]
    return report.as_module(model).double()


def textbook(setting, condition, layer=0):
    """Return a network with a condition that is known, to compare a patient with."""
    return network(setting, condition, layer, setting["seed"])


def examination(setting):
    """Return the pictures (n, 256), float64, and the labels that all patients are examined with."""
    pictures, labels = shapeset.sample(setting["pictures"], setting["seed"], size=SIDE)
    return pictures.double(), labels


def _made(setting, secret):
    found = diagnosis(secret)
    return {
        name: network(setting, *found[name], seed=secret["seed"] + 10 * k)
        for k, name in enumerate(NAMES)
    }


def write(folder, setting, secret):
    """Write a file for each patient: equal in size and in the names of what is in it."""
    for name, net in _made(setting, secret).items():
        arrays = {key: value.float().numpy() for key, value in net.state_dict().items()}
        with storage.atomic_write(pathlib.Path(folder) / f"patient_{name}.npz") as file:
            np.savez(file, ward=np.int64(setting["ward"]), **arrays)


def ward(setting, folder="."):
    """Return {name: nn.Sequential}, the patients of a class, from their files.

    The published patients, which have no files, are made.

    Raises
    ------
    ValueError
        If a file is missing, damaged or of another class.
    """
    paths = {name: pathlib.Path(folder) / f"patient_{name}.npz" for name in NAMES}
    published = setting["ward"] == PUBLISHED["ward"]
    if published and not any(path.exists() for path in paths.values()):
        return _made(setting, PUBLISHED)
    return {name: _read(path, setting) for name, path in paths.items()}


def _read(path, setting):
    if not path.exists():
        raise ValueError(f"{path.name} is missing: it belongs beside the notebook")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: torch.from_numpy(np.array(stored[name])) for name in stored.files}
        number = int(arrays.pop("ward"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} is damaged: take it from the assignment again") from error
    if number != setting["ward"]:
        raise ValueError(f"{path.name} is of ward {number}; this notebook's is {setting['ward']}")
    return sequential(setting["activation"], arrays)


def sequential(activation, arrays):
    """Return the ``nn.Sequential`` of a state dict: linear layers with an activation between."""
    parts = []
    weights = [value for name, value in arrays.items() if name.endswith("weight")]
    for weight in weights:
        linear = torch.nn.utils.skip_init(torch.nn.Linear, *weight.shape[::-1]).double()
        parts += [linear, instruments.MODULES[activation]()]
    net = torch.nn.Sequential(*parts[:-1])
    net.load_state_dict(arrays)
    return net
