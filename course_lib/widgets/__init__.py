"""Figures to operate: each works in a page without a kernel, in JupyterLab and in Binder.

``widgets.SignalExplorer(depth=10)`` as the last line of a cell shows one; its arguments can be read
and set while it is on the screen, and `readings` holds the numbers that it shows.
"""

from course_lib.widgets.film import TrainingFilm
from course_lib.widgets.jacobian import JacobianSpectrum
from course_lib.widgets.playground import Playground
from course_lib.widgets.signal import SignalExplorer
from course_lib.widgets.surface import CostSurface

__all__ = ["CostSurface", "JacobianSpectrum", "Playground", "SignalExplorer", "TrainingFilm"]
ALL = {
    widget.name: widget
    for widget in (SignalExplorer, TrainingFilm, CostSurface, JacobianSpectrum, Playground)
}
