"""Draw the README's picture from the shipped race: ``python -m tools.picture``."""

from pathlib import Path

import numpy as np

from course_lib import plots, results, storage

PATH = Path(__file__).resolve().parent.parent / "book" / "static" / "race.svg"
GREY = "#6e7781"  # a picture in a README cannot follow its page's ink; this reads on light and dark


def picture():
    """Return the picture's SVG and the sentence that stands for it."""
    race = results.load("race_depth8")
    schemes = np.array(race.config["model"]["schemes"])
    error = {name: race["error"][:, schemes == name] for name in ("standard", "normalized")}
    fig, axes = plots.figure()
    plots.race(axes, race["update"], error, "tanh")
    axes.set_title("Eight hidden layers of 100 tanh units")
    end = {name: 100 * values[-1].mean() for name, values in error.items()}
    alt = (
        f"Test error against updates: after {race['update'][-1]:,} updates the standard networks "
        f"err on {end['standard']:.0f} %, the normalized ones on {end['normalized']:.0f} %."
    )
    return plots.svg(fig, alt).replace("currentColor", GREY) + "\n", alt


if __name__ == "__main__":
    text, alt = picture()
    with storage.atomic_write(PATH) as file:
        file.write(text.encode())
    print(f"wrote {PATH}\n{alt}")
