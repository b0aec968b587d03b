"""Figures 11 and 12 and Table 1, drawn from planted results: names, order and numbers."""

import re

import numpy as np
import pytest

from course_lib import figures_errors, plots, verdicts_errors
from course_lib.storage import Stored

FINAL = {"shapeset": 0.6, "mnist": 0.02, "cifar10_reencoded": 0.55}


def planted(kinds, data=("shapeset",), updates=3_000, **more):
    """Three seeds of each kind; the k-th ends k points lower, in steps of .1 point over seeds."""
    update, runs, end = np.array([0, 30, 100, 300, 1_000, updates]), [], []
    for name in data:
        for k, kind in enumerate(kinds):
            for seed in (0, 1, 2):
                own = {"width": 300, "learning_rate": 0.03, "seed": seed, "updates": updates}
                own |= {"batch_size": 10, "data": name, "pretraining": 0, "output_bias": True}
                runs.append(own | {"cost": "cross_entropy"} | kind | more)
                end.append(FINAL[name] * (1 - k / 100) + 0.001 * (seed - 1))
    end = np.array(end)
    arrays = {
        "way_update": update,
        "way_error": 0.8 + (end - 0.8) * np.linspace(0, 1, 6)[:, None],
        "test_error": end[None],
        "validation_error": end[None],
        "diverged": np.full(len(runs), -1),
    }
    return Stored(arrays, {"runs": runs})


def race():
    return planted([*verdicts_errors.RACE.values()][::-1])


def before(**more):
    return planted([verdicts_errors.TANH], pretraining=50, **more)


def texts(axes):
    return {text.get_text() for text in axes.texts}


def test_curves_have_the_names_and_the_order_of_figure_11():
    found = figures_errors.racers(before(), race())
    assert [racer.name for racer in found] == [
        "Sigmoid depth 5",
        "Sigmoid depth 4",
        "Tanh",
        "Softsign",
        "Softsign N",
        "Tanh N",
        "Pre-training",
    ]
    np.testing.assert_allclose(found[5].final, [0.599, 0.6, 0.601])


def test_names_tell_curves_apart():
    def names(*kinds, **more):
        return [racer.name for racer in figures_errors.racers(planted(kinds, **more))]

    sigmoid, tanh = verdicts_errors.SIGMOID, verdicts_errors.TANH
    assert names(*verdicts_errors.FIVE)[0] == "Sigmoid"
    assert names(tanh, sigmoid, pretraining=5) == [
        "Pre-training, Sigmoid",
        "Pre-training, Tanh",
    ]
    assert names(tanh | {"depth": 3}, tanh) == ["Tanh depth 5", "Tanh depth 3"]
    assert names(tanh, cost="quadratic") == ["Tanh, quadratic"]


def test_errors_are_drawn_against_the_examples_seen():
    fig, alt = figures_errors.errors(race(), before(updates=2_000))
    (axes,) = fig.axes
    assert "Pre-training" in texts(axes) and "Sigmoid depth 4" in texts(axes)
    line = next(line for line in axes.lines if line.get_label() == "Tanh N")
    np.testing.assert_array_equal(line.get_xdata(), [300, 1_000, 3_000, 10_000, 30_000][1:])
    assert line.get_ydata()[-1] == pytest.approx(60)
    assert "width 300, 3 seeds, after 30,000 examples: Sigmoid depth 5" in alt
    assert "Tanh N 60.0 % (59.9 to 60.1), Pre-training 60.0 %" in alt
    assert plots.svg(fig, alt).startswith('<svg role="img"')


def test_each_data_set_has_its_panel():
    fig, alt = figures_errors.errors(planted(verdicts_errors.FIVE, ("cifar10_reencoded", "mnist")))
    assert [axes.get_title() for axes in fig.axes] == ["MNIST", "CIFAR-10, re-encoded"]
    assert all("Sigmoid" in texts(axes) for axes in fig.axes) and "re-encoded, width 300" in alt


def cells(html):
    """Return the cells of each row of an HTML table, without the row of names."""
    rows = html.split("<tr>")[2:]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_table_1_stands_above_the_papers_cell_by_cell():
    elsewhere = planted(verdicts_errors.FIVE, ("mnist", "cifar10_reencoded"))
    html = figures_errors.paper_table(race(), elsewhere)
    names = re.findall(r'<th scope="col">(.*?)</th>', html)
    assert names == ["Softsign", "Softsign N", "Tanh", "Tanh N", "Sigmoid"]
    rows = cells(html)
    assert [row[0] for row in rows[::3]] == ["Shapeset-3x2", "MNIST", "CIFAR-10, re-encoded"]
    assert rows[2::3] == [
        ["the paper, width 1000", "16.27", "16.06", "27.15", "15.60", "82.61"],
        ["the paper, width 1000", "1.64", "1.72", "1.76", "1.64", "2.21"],
        ["the paper, width 1000", "55.78", "53.80", "55.90", "52.92", "57.28"],
    ]
    assert rows[1][0] == "width 300, 3,000 updates, 3 seeds"
    assert rows[1][4] == "<strong>60.00</strong><br>59.78 to 60.22<br>rate 0.03"
    assert "pre" not in figures_errors.paper_table(race(), before()).lower()


def test_widths_have_rows_of_their_own_in_table_1():
    wide = planted([verdicts_errors.TANH], width=1000, updates=9_000)
    rows = cells(figures_errors.paper_table(wide, race()))
    assert [row[0] for row in rows[1:]] == [
        "width 300, 3,000 updates, 3 seeds",
        "width 1000, 9,000 updates, 3 seeds",
        "the paper, width 1000",
    ]


def test_a_missing_cell_is_empty():
    _, ours, paper = cells(figures_errors.paper_table(planted([verdicts_errors.TANH])))
    assert [bool(cell) for cell in ours] == [True, False, False, True, False, False]
    assert paper[1:] == ["", "", "27.15", "", ""]


def test_final_errors_say_the_papers_where_it_has_one():
    _, alt = figures_errors.final_errors(race(), before())
    assert "Tanh N on Shapeset-3x2 60.0 % (paper 15.6), Pre-training on Shapeset-3x2 60.0 %." in alt
    assert "Sigmoid depth 4 on Shapeset-3x2 57.6 %, Tanh" in alt


def test_depths_of_several_results_stand_in_one_figure():
    tanh = verdicts_errors.TANH
    shallow = planted([tanh | {"depth": depth} for depth in (1, 2)])
    fig, alt = figures_errors.by_depth(shallow, planted([tanh, verdicts_errors.SOFTSIGN]))
    assert "Tanh 60.0 % at depth 1, 59.4 % at depth 2, 60.0 % at depth 5" in alt
    assert len(fig.axes[0].containers) == 1 and "Softsign" not in alt
