"""Assignment 6, graded: each answer gets its points, and a mistake costs only where it is made."""

import re

import assignment
import numpy as np
import pytest

from course_lib import models, shapeset, training
from course_lib.classroom import sources
from course_lib.classroom.references import ps6

SOURCE = sources.read(sources.find("ps6"))
SOLUTIONS = assignment.solutions(SOURCE)
# A smaller plan: these tests are about marks, not about errors.
PLAN = """
rates, seeds = [0.05, 0.5, 0.2], range(setting["first_seed"] + 50, setting["first_seed"] + 56)
plan = {"race_seeds": seeds[1:], "search_seeds": seeds[:1], "rates": np.array(rates)}
"""
# Everything once more in another way, as it may come from a student.
OTHERWISE = {
    "ps6-plan": PLAN,
    "ps6-search": """
def search_rate(run, scheme, rates, seeds):
    table = np.array([[run(scheme, r, s, on="validation") for s in seeds] for r in rates])
    return np.asarray(rates)[np.nanargmin(table.mean(1))]
""",
    "ps6-pairs": """
def paired_differences(run, chosen, seeds):
    errors = {}
    for scheme in ["normalized", "standard"]:
        errors[scheme] = np.array([run(scheme, chosen[scheme], k, "test") for k in seeds])
    return errors["standard"] - errors["normalized"]
""",
    "ps6-interval": """
def interval(differences):
    d = np.asarray(differences)
    error = d.std(ddof=1) / len(d) ** 0.5 * ps6.student_t(len(d) - 1)
    return np.array([d.mean() - error, d.mean() + error])
""",
    "ps6-verdict": """
def verdict(low, high):
    return "open" if low <= 0 <= high else ["standard", "normalized"][int(low > 0)]
""",
    "ps6-chosen": """
chosen = {}
for scheme in ("standard", "normalized"):
    errors = [run(scheme, r, plan["search_seeds"][0], "validation") for r in rates]
    chosen[scheme] = rates[errors.index(min(errors))]
""",
    "ps6-differences": """
def error(scheme, seed):
    return run(scheme, chosen[scheme], seed, "test")
differences = torch.tensor([error("standard", k) - error("normalized", k) for k in seeds[1:]])
""".replace("torch.tensor", "np.array"),
    "ps6-result": """
ends = interval(differences)
result = {"verdict": verdict(*ends), "difference": np.mean(differences).round(2)}
result["low"], result["high"] = ends.round(1)
""",
}
# A student's own results by hand, so that a mistake in a function costs nothing later.
ALONE = {"ps6-plan": PLAN} | {
    name: OTHERWISE[name]
    .replace("interval(differences)", "ps6.interval(list(differences))").replace(
        "verdict(*ends)", "ps6.verdict(*ends)").replace("ends.round(1)", "np.round(ends, 1)")
    for name in ("ps6-chosen", "ps6-differences", "ps6-result")
}  # fmt: skip


# Part 5, where networks are trained.
SLOW = [
    f"ps6-{name}{test}" for name in ("chosen", "differences", "result") for test in ("", "-test")
] + ["ps6-look"]
# A search whose last line is to be filled in; error(rate, nan) puts a number in the place of nan.
LEAST = """
def search_rate(run, scheme, rates, seeds):
    def error(rate, lost=math.nan):
        errors = [run(scheme, rate, seed, "validation") for seed in seeds]
        return sum(lost if math.isnan(e) else e for e in errors) / len(errors)
    return {}
"""


def test_a_training_is_the_librarys_and_is_the_same_again():
    values = sources.draw(SOURCE).setting | {"updates": 60, "width": 12}
    run = ps6.runner(values)
    model = models.MLP(
        [144, *values["depth"] * [12], 9], values["activation"], scheme="standard", seed=5
    )
    training.train(model, shapeset.Stream(10, seed=5, size=12), 60, 0.3, progress=False)
    for number, on in enumerate(("validation", "test")):
        images, labels = shapeset.sample(1000, values["pictures"] + number, size=12)
        wrong = (model(images).logits[0].argmax(-1) != labels).float().mean()
        assert run("standard", 0.3, 5, on) == pytest.approx(100 * float(wrong), abs=1e-4)
    assert ps6.one_error(values, "standard", 0.3, 5, "test") == run("standard", 0.3, 5, "test")
    with pytest.raises(ValueError, match="on must be"):
        run("standard", 0.3, 5, "training")


def test_students_distribution_by_sampling():
    """95 % within: of 400,000 draws, to within four standard errors of 0.00034."""
    generator = np.random.default_rng(0)
    for freedom in (1, 2, 5, 13, 30):
        share = (abs(generator.standard_t(freedom, 400_000)) < ps6.student_t(freedom)).mean()
        assert abs(share - 0.95) < 4 * 0.00035
    with pytest.raises(ValueError, match="from 1 to 30"):
        ps6.student_t(31)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """5,000 samples of six: 95 % to within four standard errors of 0.0031."""
    samples = np.random.default_rng(1).normal(3, 2, (5000, 6))
    ends = np.array([ps6.interval(list(sample)) for sample in samples])
    assert abs(((ends[:, 0] < 3) & (3 < ends[:, 1])).mean() - 0.95) < 4 * 0.0031
    assert [ps6.verdict(*pair) for pair in ((1, 2), (-2, -1), (-1, 1))] == [
        "normalized", "standard", "open",
    ]  # fmt: skip


@pytest.mark.parametrize("secret", ["", "another class"])
def test_solutions_earn_all_points_in_every_class(secret):
    assignment.check_all_points(SOURCE, secret)


@pytest.mark.parametrize("secret", range(30))
def test_what_a_class_draws_is_what_was_measured(secret):
    """Six classes were run: in such networks both schemes learn, and either verdict comes out."""
    values = sources.draw(SOURCE, f"class {secret}").setting
    assert 26 <= values["width"] <= 34 and values["depth"] == 2
    assert 1800 <= values["updates"] <= 2200 and values["activation"] in ("tanh", "softsign")


@pytest.mark.parametrize("secret", ["class 0", "class 2"])
def test_both_schemes_learn_in_a_class(secret):
    """At the rate 0.1 or 0.3 the mean of two seeds is below the 83 % of the commonest class."""
    values = sources.draw(SOURCE, secret).setting
    run, first = ps6.runner(values), values["first_seed"]
    for scheme in ps6.SCHEMES:
        means = [np.mean([run(scheme, r, first + k, "validation") for k in (0, 1)]) for r in RATES]
        assert min(means) < 80, (scheme, means)


RATES = (0.1, 0.3)


def test_nothing_is_known_before_the_plan(capsys):
    """The first cell trains a network, to show that it works, and shows none of its errors."""
    ps6.how_long(sources.draw(SOURCE).setting | {"updates": 30, "width": 12})
    assert re.fullmatch(r"run works: one training takes \d+\.\d s\.\n", capsys.readouterr().out)
    start = next(c.source for c in SOURCE.notebook.cells if "ps6.how_long" in c.source)
    assert "run(" not in start and "print" not in start


def test_the_model_answers_numbers_are_those_of_the_published_setting():
    """To half a point: another processor may round otherwise on the way."""
    values, namespace = sources.draw(SOURCE).setting, {}
    exec("setting = " + repr(values) + "\n" + SOLUTIONS["ps6-plan"], namespace)
    plan, run = namespace["plan"], ps6.runner(values)
    chosen = {
        scheme: ps6.search_rate(run, scheme, plan["rates"], plan["search_seeds"])
        for scheme in ps6.SCHEMES
    }
    low, high = ps6.interval(ps6.paired_differences(run, chosen, plan["race_seeds"]))
    text = "\n".join(cell.source for cell in SOURCE.notebook.cells)
    said = r"err (\d\.\d) points of per cent less.* over (\d+) .*from (-\d\.\d) to (-\d\.\d)\."
    found = re.search(said, text)
    assert np.allclose([float(found[3]), float(found[4])], [low, high], atol=0.5)
    assert abs(float(found[1]) + (low + high) / 2) <= 0.5
    assert int(found[2]) == len(plan["race_seeds"]) and high < 0
    size = f"{values['depth']} hidden layers of {values['width']} {values['activation']} units"
    assert size in text and f"{values['updates']:,} updates" in text
    said = re.search(r"rate, (\d\.\d+), is the smallest.* with (\d+\.\d) % against", text)
    rate = chosen["normalized"]
    errors = [run("normalized", rate, seed, "validation") for seed in plan["search_seeds"]]
    assert float(said[1]) == rate == min(plan["rates"])
    assert abs(float(said[2]) - np.mean(errors)) <= 0.5


def test_blank_earns_nothing_and_says_so():
    words = {
        "ps6-rate-test": "search_rate is not written yet.",
        "ps6-chosen-test": "there is no chosen yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_tests_leave_a_students_names_alone():
    assignment.check_names(SOURCE)


def test_any_correct_way_passes():
    assignment.check_another_way(SOURCE, OTHERWISE)


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("ps6-search", "search_rate = lambda *x: torch.tensor([ps6.search_rate(*x)]).double()"),
        ("ps6-pairs", "paired_differences = lambda *x: torch.tensor(ps6.paired_differences(*x))"),
        ("ps6-pairs", "paired_differences = lambda *x: tuple(ps6.paired_differences(*x))"),
        ("ps6-interval", "interval = lambda d: list(ps6.interval(list(d)))"),
        ("ps6-interval", "interval = lambda d: torch.tensor(ps6.interval(list(d)))"),
        ("ps6-interval", """
def interval(d):  # t with four digits, as tables have it
    half = round(ps6.student_t(len(d) - 1), 3) * statistics.stdev(d) / len(d) ** 0.5
    return statistics.mean(d) - half, statistics.mean(d) + half
"""),
    ],
)  # fmt: skip
def test_any_form_of_a_right_answer_passes(cell, code):
    left_out = dict.fromkeys(SLOW, "")
    assert assignment.failed(SOURCE, left_out | {cell: "import torch\n" + code}) == {}


MISTAKES = {
    "over the budget": (
        "ps6-plan", "seeds[:1]", "9 * [seeds[0]]",
        {"ps6-grid-test": "2 x 3 x 9 + 2 x 5 = 64 trainings", "ps6-seeds-test": "a seed twice"},
    ),
    "a narrow grid": (
        "ps6-plan", "0.05, 0.5, 0.2", "0.1, 0.5, 0.2", {"ps6-grid-test": "10 times the smallest"},
    ),
    "seeds shared": (
        "ps6-plan", "seeds[:1]", "seeds[2:3]", {"ps6-seeds-test": "in the search and in the race"},
    ),
    "another class's seeds": (
        "ps6-plan", 'seeds[:1]', "[7]", {"ps6-seeds-test": "your class's seeds are"},
    ),
    "no dict": (
        "ps6-plan", "plan = {", "plan = 7, {",
        {"ps6-grid-test": "dict", "ps6-seeds-test": "dict", "ps6-chosen-test": "",
         "ps6-differences-test": "", "ps6-result-test": ""},
    ),
    "chosen on test pictures": (
        "ps6-search", '"validation"', '"test"',
        {"ps6-rate-test": "on the test pictures", "ps6-validation-test": "no say in the rate",
         "ps6-lost-test": ""},
    ),
    "one seed alone": (
        "ps6-search", "for seed in seeds)", "for seed in seeds[:1])",
        {"ps6-rate-test": "first seed alone", "ps6-validation-test": "every rate with every seed",
         "ps6-lost-test": ""},
    ),
    "the last seed alone": (
        "ps6-search", '"validation") for seed in seeds) / len(seeds)',
        '"validation") for seed in seeds[-1:])',
        {"ps6-rate-test": "last seed alone", "ps6-validation-test": "every rate with every seed",
         "ps6-lost-test": "nan"},
    ),
    "the best single seed": (
        "ps6-search", "sum(run(scheme, rate, seed, \"validation\") for seed in seeds) / len(seeds)",
        "min(run(scheme, rate, seed, \"validation\") for seed in seeds)",
        {"ps6-rate-test": "a single seed", "ps6-lost-test": "nan"},
    ),
    "the worst seed": (
        "ps6-search", "sum(run(scheme, rate, seed, \"validation\") for seed in seeds) / len(seeds)",
        "np.max([run(scheme, rate, seed, \"validation\") for seed in seeds])",
        {"ps6-rate-test": "least worst error"},
    ),
    "the median": (
        "ps6-search", "sum(run(scheme, rate, seed, \"validation\") for seed in seeds) / len(seeds)",
        "np.median([run(scheme, rate, seed, \"validation\") for seed in seeds])",
        {"ps6-rate-test": "least median"},
    ),
    "one scheme whatever is asked": (
        "ps6-search", "run(scheme, rate", 'run("standard", rate',
        {"ps6-rate-test": "the best for standard", "ps6-validation-test": "another scheme",
         "ps6-lost-test": "the rate"},
    ),
    "seeds of one's own": (
        "ps6-search", "for seed in seeds) / len(seeds)", "for seed in (3, 4, 5)) / 3",
        {"ps6-rate-test": "the rate", "ps6-validation-test": "other seeds"},
    ),
    "least as Python's min has it": (
        "ps6-search", None, LEAST.format("min(rates, key=error)"), {"ps6-lost-test": "nan"},
    ),
    "least as sorted has it": (
        "ps6-search", None, LEAST.format("sorted(rates, key=error)[0]"), {"ps6-lost-test": "nan"},
    ),
    "least as NumPy has it": (
        "ps6-search", None, LEAST.format("rates[int(np.argmin([*map(error, rates)]))]"),
        {"ps6-lost-test": "nan"},
    ),
    "the error of a guess for nan": (
        "ps6-search", None,
        LEAST.format("min(rates, key=lambda r: error(r, 83.0))"), {"ps6-lost-test": "nan"},
    ),
    "all wrong for nan": (
        "ps6-search", None,
        LEAST.format("min(rates, key=lambda r: error(r, 100.0))"), {"ps6-lost-test": "nan"},
    ),
    "nan left out of the mean": (
        "ps6-search", "sum(run(scheme, rate, seed, \"validation\") for seed in seeds) / len(seeds)",
        "np.nanmean([run(scheme, rate, seed, \"validation\") for seed in seeds])",
        {"ps6-lost-test": "nan"},
    ),
    "nan takes it": (
        "ps6-search", "if error < least", "if not error >= least", {"ps6-lost-test": "the rate"},
    ),
    "a place for a rate": (
        "ps6-search", "return best", "return rates.index(best)",
        {"ps6-rate-test": "place in the list", "ps6-lost-test": ""},
    ),
    "the other sign": (
        "ps6-pairs", '''run("standard", chosen["standard"], seed, "test")
        - run("normalized", chosen["normalized"], seed, "test")''',
        '''run("normalized", chosen["normalized"], seed, "test")
        - run("standard", chosen["standard"], seed, "test")''',
        {"ps6-pairs-test": "the differences have the wrong sign"},
    ),
    "seed to difference": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    return {k: run("standard", chosen["standard"], k, "test")
            - run("normalized", chosen["normalized"], k, "test") for k in seeds}
""", {"ps6-pairs-test": "it is of type dict"},
    ),
    "a generator": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    return (run("standard", chosen["standard"], k, "test")
            - run("normalized", chosen["normalized"], k, "test") for k in seeds)
""", {"ps6-pairs-test": "of type generator. Square", "ps6-asked-test": "a generator waits"},
    ),
    "without a sign": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    return [abs(run("standard", chosen["standard"], k, "test")
                - run("normalized", chosen["normalized"], k, "test")) for k in seeds]
""", {"ps6-pairs-test": "each has a sign"},
    ),
    "sorted": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    return sorted(run("standard", chosen["standard"], k, "test")
                  - run("normalized", chosen["normalized"], k, "test") for k in seeds)
""", {"ps6-pairs-test": "not in the order of the seeds"},
    ),
    "the order of the dict": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    one, other = chosen
    return [run(one, chosen[one], k, "test") - run(other, chosen[other], k, "test") for k in seeds]
""", {"ps6-pairs-test": "wrong sign"},
    ),
    "one rate for both": (
        "ps6-pairs", 'run("normalized", chosen["normalized"]',
        'run("normalized", chosen["standard"]',
        {"ps6-pairs-test": "the differences", "ps6-asked-test": "another rate than its own"},
    ),
    "not paired": (
        "ps6-pairs", 'chosen["normalized"], seed,', 'chosen["normalized"], seed + 1,',
        {"ps6-pairs-test": "", "ps6-asked-test": "did not run with the seeds given"},
    ),
    "the mean alone": (
        "ps6-pairs", None, """
def paired_differences(run, chosen, seeds):
    return sum(run("standard", chosen["standard"], k, "test")
               - run("normalized", chosen["normalized"], k, "test") for k in seeds) / len(seeds)
""", {"ps6-pairs-test": "list of numbers"},
    ),
    "1.96": (
        "ps6-interval", "ps6.student_t(n - 1)", "1.96", {"ps6-width-test": "for many seeds"},
    ),
    "n under the deviation": (
        "ps6-interval", "statistics.stdev", "statistics.pstdev",
        {"ps6-width-test": "in place of n - 1"},
    ),
    "no root": (
        "ps6-interval", " / math.sqrt(n)", "", {"ps6-width-test": "single differences"},
    ),
    "about 0": (
        "ps6-interval", "return middle - half, middle + half", "return -half, half",
        {"ps6-middle-test": "the middle"},
    ),
    "in capitals": (
        "ps6-verdict", 'return "normalized"', 'return "Normalized"',
        {"ps6-verdict-test": "it should be"},
    ),
    "nothing returned": (
        "ps6-verdict", 'return "normalized"', "pass", {"ps6-verdict-test": "leaves 0 out"},
    ),
    "never open": (
        "ps6-verdict", '"standard" if high < 0 else "open"', '"standard"',
        {"ps6-verdict-test": "contains 0"},
    ),
    "an end at 0": (
        "ps6-verdict", "low > 0", "low >= 0", {"ps6-verdict-test": "contains 0"},
    ),
    "the other end at 0": (
        "ps6-verdict", "high < 0", "high <= 0", {"ps6-verdict-test": "contains 0"},
    ),
    "a margin below 0": (
        "ps6-verdict", "high < 0", "high < -0.05", {"ps6-verdict-test": "leaves 0 out"},
    ),
    "a margin above 0": (
        "ps6-verdict", "low > 0", "low > 0.05", {"ps6-verdict-test": "leaves 0 out"},
    ),
    "turned round": (
        "ps6-verdict", 'if low > 0:', 'if high < 0:',
        {"ps6-verdict-test": "returns 'open'"},
    ),
    "another rate": (
        "ps6-chosen", "min(errors)", "max(errors)",
        {"ps6-chosen-test": "another rate of your plan"},
    ),
    "differences made up": (
        "ps6-differences", "differences = ", "differences = 0.5 + 2 * ",
        {"ps6-differences-test": "the others are not"},
    ),
    "differences made up a little": (
        "ps6-differences", "differences = ", "differences = 0.4 + ",
        {"ps6-differences-test": "0 of the 5 differences are those"},
    ),
    "differences in another order": (
        "ps6-differences", "seeds[1:]", "seeds[:0:-1]",
        {"ps6-differences-test": "in the order of the race seeds"},
    ),
    "differences turned round": (
        "ps6-differences", "differences = ", "differences = -1 * ",
        {"ps6-differences-test": "the sign"},
    ),
    "another number reported": (
        "ps6-result", "np.mean(differences)", "(0.3 + np.mean(differences))",
        {"ps6-result-test": "not what your own differences give"},
    ),
    "a list for a number": (
        "ps6-result", "np.mean(differences).round(2)", "list(differences)",
        {"ps6-result-test": "difference should be a number"},
    ),
    "another verdict": (
        "ps6-result", '{"verdict": ps6.verdict(*ends)', '{"verdict": "proved"',
        {"ps6-result-test": "your interval goes from"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name):
    """Mistakes in functions are marked without what is run, which takes the time."""
    cell = MISTAKES[name][0]
    fast = {} if cell in SLOW or cell == "ps6-plan" else dict.fromkeys(SLOW, "")
    assignment.check_mistake(SOURCE, MISTAKES[name], ALONE | fast)


def test_what_was_run_may_be_earned_without_the_functions():
    nothing = {f"ps6-{name}": None for name in ("search", "pairs", "interval", "verdict")}
    said = assignment.marked(SOURCE, ALONE | nothing)
    kept = ("grid", "seeds", "chosen", "differences", "result")
    assert {name for name, found in said.items() if not found} == {f"ps6-{k}-test" for k in kept}


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ("7", "chosen should be a dict"),
        ("{'standard': 0.2, 'normalized': None}", "rate of normalized should be"),
        ("{'standard': 0.2, 'normalized': -1}", "above 0"),
    ],
)
def test_rates_of_another_form_are_reported_in_words(chosen, words):
    said = assignment.marked(SOURCE, ALONE | {"ps6-chosen": f"chosen = {chosen}"})
    assert words in said["ps6-chosen-test"]


def test_a_plan_of_lost_trainings_is_reported_in_words():
    values = sources.draw(SOURCE).setting | {"updates": 30, "width": 12}
    plan = {"rates": [1e30, 1e31, 1e32], "search_seeds": [1], "race_seeds": [2]}
    with pytest.raises(ps6.checks.NotYet, match="every rate of your plan gives nan"):
        ps6.check_chosen(dict.fromkeys(ps6.SCHEMES, 1e30), plan, values)


def test_a_grid_may_end_at_ten_times_its_smallest_rate(capsys):
    """In floating point 10 x 0.07 is more than 0.7."""
    values, seeds = {"trainings": 32}, {"search_seeds": [1], "race_seeds": [2, 3, 4, 5, 6]}
    assert 10 * 0.07 > 0.7
    ps6.check_grid({"rates": [0.07, 0.2, 0.7], **seeds}, values)
    assert capsys.readouterr().out == "The plan takes 16 of 32 trainings; 16 are left over.\n"
    with pytest.raises(ps6.checks.NotYet, match="10 times the smallest"):
        ps6.check_grid({"rates": [0.0701, 0.2, 0.7], **seeds}, values)
    ps6.check_grid({"rates": [1e-6, 1e-5, 1e-4], **seeds}, {"trainings": 16})
    assert "none is left over.\nAll these rates are below 0.01" in capsys.readouterr().out


def test_stored_answers_of_the_visible_tests_earn_nothing():
    answer = """
def interval(differences):
    return {5: (0.0885, 3.7915), 6: (-3.9, -0.2)}[len(differences)]
def search_rate(run, scheme, rates, seeds):
    return {"standard": 0.1, "normalized": 0.03}[scheme]
"""
    said = assignment.marked(SOURCE, ALONE | {"ps6-search": answer, "ps6-interval": answer})
    assert all(
        said[f"ps6-{name}-test"] for name in ("rate", "validation", "lost", "middle", "width")
    )


def test_published_results_earn_nothing_in_a_class():
    published = sources.draw(SOURCE).setting
    seeds = [published["first_seed"] + k for k in range(6)]
    answers = ALONE | {
        "ps6-plan": "plan = dict(rates=[0.05, 0.2, 0.5], "
        f"search_seeds={seeds[:1]}, race_seeds={seeds[1:]})",
        "ps6-chosen": "chosen = {'standard': 0.05, 'normalized': 0.2}",
        "ps6-differences": "differences = [9.9, 7.8, 7.6, 6.4, 5.4]",
    }
    said = assignment.marked(SOURCE, answers)
    assert said["ps6-seeds-test"] and said["ps6-differences-test"]


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps6-search", "search_rate = ps6.search_rate", "ps6.search_rate"),
        ("ps6-interval", "interval = ps6.interval", "ps6.interval"),
        ("ps6-pairs", "from course_lib.classroom.references import ps6", "references"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    assignment.check_flagged(SOURCE, cell, code, word)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)
