"""The figure and the table of each experiment, from what `reproduce.run` returns.

`figures_before`, `figures_layers` and `figures_errors` draw them; here stands which experiment has
which.
"""

from typing import NamedTuple

from course_lib import experiments, figures_before, figures_errors, figures_layers, results

# Experiment: what draws it, and what tabulates it.
SHOWN = {
    "fig02": (figures_layers.story, figures_layers.landmarks),
    "fig03": (figures_layers.saturation, figures_layers.saturation_table),
    "fig04": (figures_layers.histograms, figures_layers.histogram_table),
    "fig09": (figures_layers.gradients, figures_layers.gradient_table),
    "fig10": (figures_layers.saturation, figures_layers.saturation_table),
    "fig11": (figures_errors.errors, figures_errors.error_table),
    "fig12": (figures_errors.errors, figures_errors.error_table),
    "table1": (figures_errors.final_errors, figures_errors.error_table),
    "costs": (figures_errors.errors, figures_errors.error_table),
    "pretrained": (figures_errors.errors, figures_errors.error_table),
    "depths": (figures_errors.by_depth, figures_errors.error_table),
    "film": (figures_errors.by_depth, figures_errors.error_table),
    "race_depth8": (figures_errors.errors, figures_errors.error_table),
    "sigmoid_rates": (figures_errors.by_rate, figures_layers.landmarks),
    "sigmoid_depth4_frozen": (figures_layers.story, figures_layers.landmarks),
    "sigmoid_depth5": (figures_layers.story, figures_layers.landmarks),
    "sigmoid_elsewhere": (figures_layers.story, figures_layers.landmarks),
    "jacobian_training": (figures_layers.jacobians, figures_layers.jacobian_table),
    "cost_surfaces": (figures_before.cost_surfaces, figures_before.plateau_table),
    "signal_at_initialisation": (figures_before.signal, figures_before.signal_table),
    "signal_elsewhere": (figures_before.elsewhere, figures_before.elsewhere_table),
    "jacobian_at_initialisation": (figures_before.spectra, figures_before.spectra_table),
}


class Shown(NamedTuple):
    """What an experiment ends with: a figure, a sentence that says what it shows, table rows."""

    figure: object
    alt: str
    rows: list


def show(name, history):
    """Return the `Shown` of an experiment's history.

    Parameters
    ----------
    name : str, of `experiments.EXPERIMENTS`
    history : training.History, as `reproduce.run` gives it, or a shipped result

    Raises
    ------
    ValueError
        If every run diverged.
    """
    if results.runs(history) and not experiments.curves(history):
        raise ValueError(f"every run of {name} diverged: there is nothing to draw")
    draw, table = SHOWN[name]
    figure, alt = draw(history)
    _arrange(figure)
    return Shown(figure, alt, table(history))


def _arrange(figure):
    """Put a legend that speaks for all panels below them, and keep long updates apart."""
    legends = [axes for axes in figure.axes if axes.get_legend()]
    if len(legends) == 1 and len(figure.axes) > 1:
        (axes,) = legends
        handles, labels = axes.get_legend_handles_labels()
        axes.get_legend().remove()
        columns = min(5 if max(map(len, labels)) < 10 else 3, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    for axes in figure.axes:
        if axes.get_xlabel() == "update" and axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)
            axes.xaxis.set_major_formatter(lambda update, _: f"{update:,.0f}")
