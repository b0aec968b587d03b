"""The small measured results that come with the package, by name.

Each is one ``.npz`` in ``course_lib/shipped``, or a folder of them with one file a curve, with the
configuration and the provenance of the run that made it; ``experiments`` holds the code that makes
it again. R are runs: networks, each from its first weights to its last update.
"""

import pathlib

import numpy as np

from course_lib import storage

FOLDER = pathlib.Path(__file__).with_name("shipped")
# What tells two runs of one experiment apart, in the order in which curves are joined.
ORDER = (
    "data",
    "seed",
    "activation",
    "depth",
    "scheme",
    "output_bias",
    "cost",
    "pretraining",
    "learning_rate",
)


def names():
    """Return the names of the shipped results."""
    files = {path.stem for path in FOLDER.glob("*.npz")}
    folders = {path.parent.name for path in FOLDER.glob("*/*.npz")}
    return tuple(sorted(files | folders))


def files(name):
    """Return the paths of the files that make up a shipped result.

    Raises
    ------
    ValueError
        If there is none of that name; the message lists the names.
    """
    if name not in names():
        raise ValueError(f"no shipped result {name!r}; there are: {', '.join(names()) or 'none'}")
    single = FOLDER / f"{name}.npz"
    return [single] if single.exists() else sorted((FOLDER / name).glob("*.npz"))


def load(name, **expected):
    """Return the shipped result called `name`; curves in files of their own are joined.

    Parameters
    ----------
    name : str, one of `names`
    expected : settings that it must have, such as ``updates=400_000`` or ``width=100``
        A setting of the runs is one value for all of them, or a list of R.

    Returns
    -------
    storage.Stored

    Raises
    ------
    ValueError
        If there is none of that name, or a setting differs; the message names it.
    """
    paths = files(name)
    if paths[0].parent == FOLDER:
        stored = storage.load(paths[0])
    else:
        stored = join(sorted((storage.load(path) for path in paths), key=_place))
    for setting, value in storage.plain(expected).items():
        found = _setting(stored, setting)
        if found != value and _shared(found) != value:
            raise ValueError(f"{name}: its {setting} is {_shared(found)!r}, not {value!r}")
    return stored


def _place(curve):
    run = curve.config["run"]
    return [run.get(field, 0) for field in ORDER]  # not every curve knows of every field


def _shared(values):
    """Return what all entries of a list have in common, or the list as it is."""
    alike = isinstance(values, list) and values and all(v == values[0] for v in values)
    return values[0] if alike else values


def _setting(stored, name):
    by_run = runs(stored)
    if by_run and all(name in run for run in by_run):
        return [run[name] for run in by_run]
    return stored.config.get(name)


# ---------------------------------------------------------------- curves and runs
def join(curves):
    """Join curves, or what was joined of them, along the run axis, in the order given.

    Parameters
    ----------
    curves : sequence of `storage.Stored`, or of what has the same attributes

    Returns
    -------
    storage.Stored
        Arrays without a run axis, such as ``update``, stand once; a network with fewer layers
        than others has NaN in those that it lacks. ``config["runs"]`` lists
        the curves' own ``config["run"]``; what else is in their configuration or provenance stands
        once where all agree, and else as a list.

    Raises
    ------
    ValueError
        If they did not record the same things at the same updates.
    """
    if not curves:
        raise ValueError("there are no curves to join")
    first = curves[0]
    if any(curve.axes != first.axes for curve in curves):
        raise ValueError("the curves record different things and cannot be joined")
    arrays = {}
    for name, axes in first.axes.items():
        parts = [curve[name] for curve in curves]
        if "run" not in axes:
            if not all(np.array_equal(part, parts[0]) for part in parts):
                raise ValueError(f"the curves differ in {name!r} and cannot be joined")
            arrays[name] = parts[0]
            continue
        place = list(axes).index("run")
        parts = _deepened(parts, axes)
        if len({(*part.shape[:place], *part.shape[place + 1 :]) for part in parts}) > 1:
            raise ValueError(f"the curves differ in the shape of {name!r} and cannot be joined")
        arrays[name] = np.concatenate(parts, axis=place)
    configs = [dict(curve.config) for curve in curves]
    own = [run for config in configs for run in config.pop("runs", None) or [config.pop("run")]]
    provenance = _together([curve.provenance for curve in curves])
    return storage.Stored(arrays, {"runs": own} | _together(configs), provenance, first.axes)


def _deepened(parts, axes):
    """Give arrays with fewer layers or matrices NaN, in the end, up to the deepest one's."""
    deep = [place for place, axis in enumerate(axes) if axis in ("layer", "matrix")]
    lacks = [[(0, 0)] * part.ndim for part in parts]
    for place in deep:
        most = max(part.shape[place] for part in parts)
        for lack, part in zip(lacks, parts, strict=True):
            lack[place] = (0, most - part.shape[place])
    return [
        np.pad(part, lack, constant_values=np.nan) if np.any(lack) else part
        for part, lack in zip(parts, lacks, strict=True)
    ]


def _together(dicts):
    """Return one dict: a value that all share, or the list of them."""
    lists = {key: [one.get(key) for one in dicts] for key in dicts[0]}
    return {key: _shared(values) for key, values in lists.items()}


def runs(stored):
    """Return what each run of a result is: a list of R dicts, empty where nothing was trained.

    Among the keys: activation, scheme, depth, width, learning_rate, seed, updates, output_bias.
    """
    config = stored.config
    if "runs" in config:
        return config["runs"]
    if "model" not in config:
        return []
    model = config["model"]
    per_run = zip(
        model["schemes"],
        model["seeds"],
        model["output_bias"],
        config["learning_rate"],
        strict=True,
    )
    return [
        {
            "activation": model["activation"],
            "scheme": scheme,
            "depth": len(model["sizes"]) - 2,
            "width": model["sizes"][1],
            "learning_rate": rate,
            "seed": seed,
            "updates": config["updates"],
            "output_bias": output_bias,
            "batch_size": config["data"][0]["batch_size"],
            "data": "shapeset",
        }
        for scheme, seed, output_bias, rate in per_run
    ]


def searched(stored):
    """Return, for each run of shipped curves, what its rate was chosen from.

    Returns
    -------
    list of R dicts, learning rate to validation error; empty ones where nothing was searched
    """
    found = stored.config.get("search") or {}
    found = found if isinstance(found, list) else [found] * len(runs(stored))
    return [{float(rate): error for rate, error in one.items()} for one in found]


def which(stored, **fields):
    """Return the numbers of the runs that have all these settings, as an index (R',).

    ``error[:, which(stored, activation="tanh", scheme="normalized")]`` is one curve's.
    """
    by_run = runs(stored)
    for field in fields:
        if by_run and field not in by_run[0]:
            raise ValueError(f"runs have no {field!r}; they have: {', '.join(by_run[0])}")
    alike = [all(run[field] == value for field, value in fields.items()) for run in by_run]
    return np.flatnonzero(alike)
