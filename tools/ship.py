"""Put the curves of a reproduced experiment among the shipped results, small.

    python -m tools.ship hard-to-train/fig11-workstation-100.npz fig11-100

takes the joined file that `hard-to-train reproduce` wrote, finds each of its curves in ``curves``
beside it, leaves out the cost of each hundred mini-batches, rounds what is left to five figures,
adds the validation error of each rate that was tried, and writes the folder of that name in
``course_lib/shipped``, one file a network.

    python -m tools.ship hard-to-train/cost_surfaces-workstation.npz cost_surfaces.npz

does the same with a result that has no curves, as one file; ``film.npz`` becomes whole numbers.
"""

import pathlib
import sys

import numpy as np

from course_lib import films, results, storage
from course_lib.jobs import Run, Watch

LEFT_OUT = ("train_update", "train_cost")
BITS = 16  # significant ones are kept: a relative error of 1.5e-5 at most
SHORT = 100


def ship(joined, name, folder=results.FOLDER):
    """Write the curves of a joined result to ``folder/name``, or all of it to a file ``name``.

    Return the paths. FileNotFoundError where a curve is missing, ValueError where two files could
    be meant.
    """
    joined, written = pathlib.Path(joined), []
    whole = storage.load(joined)
    made = {"command": whole.provenance["command"]}
    if name == "film.npz":
        whole = films.compact(whole)
    if name.endswith(".npz"):
        return [save(whole, pathlib.Path(folder) / name, whole.config, made)]
    for wanted in results.runs(whole):
        run = as_run(wanted)
        found = sorted((joined.parent / "curves").glob(f"{run.name}-*.npz"))
        found = [path for path in found if storage.load(path).config["run"] == wanted]
        if not found:
            raise FileNotFoundError(f"no curve {run.name} in {joined.parent / 'curves'}")
        if len(found) > 1:
            raise ValueError(f"{len(found)} files could be {run.name}: remove the older ones")
        curve = storage.load(found[0])
        to = pathlib.Path(folder) / name / found[0].name
        written.append(save(curve, to, curve.config | {"search": rates(whole, run)}, made))
    return written


def save(stored, path, config, made):
    """Write a result, smaller; ``made`` joins its provenance. Return the path."""
    arrays = {key: small(value) for key, value in stored.arrays.items() if key not in LEFT_OUT}
    axes = {key: list(stored.axes[key]) for key in arrays}
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.save(path, arrays, config, stored.provenance | made, axes)
    return path


def as_run(config):
    """Return the `Run` that a curve's configuration describes."""
    watches = tuple(Watch(**watch) for watch in config["watches"])
    return Run(**config | {"watches": watches})


def rates(whole, run):
    """Return {rate: validation error} of what was tried for the curve of this run."""
    kind = ("activation", "scheme", "depth", "data", "cost", "output_bias", "pretraining")
    tried = whole.config.get("search", [])
    alike = [one for one in tried if all(one.get(k) == getattr(run, k) for k in kind)]
    return {f"{one['learning_rate']:g}": one["error"] for one in alike}


def small(array):
    """Return real numbers as `float32` with `BITS` significant bits: zeros at the end pack well.

    Short arrays, such as the levels that were asked for, stay as they are.
    """
    if array.dtype.kind != "f" or array.size < SHORT:
        return array
    mantissa, exponent = np.frexp(array.astype(np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, BITS)), exponent - BITS).astype(np.float32)


if __name__ == "__main__":
    for path in ship(*sys.argv[1:]):
        print(path)
