"""Assignment 6, a fair comparison: what is trained, what is made up for tests, right answers."""

import functools
import math
import statistics
import time

import numpy as np

from course_lib import checks, fresh, models, shapeset, training

SCHEMES = ("standard", "normalized")
SIDE = 12  # pixels, of pictures 12 x 12
PICTURES = 1_000  # of the validation and of the test data
# How far a difference, in points of per cent, may lie from the notebook's own: one decimal is
# exact for 1,000 pictures. A second process may round otherwise on the way through a training.
OWN, AGAIN = 0.15, 0.5
# What 95 % of Student's distribution lie within, for 1 to 30 degrees of freedom.
_T = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281,
    2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860,
    2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


def student_t(freedom):
    """Return the number t: 95 % of Student's distribution with 1 to 30 degrees lie in -t to t."""
    if freedom not in range(1, len(_T) + 1):
        raise ValueError(f"freedom must be a whole number from 1 to {len(_T)}, not {freedom!r}")
    return _T[freedom - 1]


# ---- the training


def runner(values):
    """Return run(scheme, rate, seed, on): one network trained, its error in per cent.

    Parameters
    ----------
    values : dict of width, depth, activation, updates and pictures (the seed of the data)

    The seed gives weights (the same draws under both schemes, scaled) and the training pictures;
    `on` is "validation" or "test": 1,000 pictures each, of seeds used for nothing else. A training
    that was made is remembered.
    """
    settings = {key: values[key] for key in ("width", "depth", "activation", "updates", "pictures")}

    def run(scheme, rate, seed, on):
        if on not in ("validation", "test"):
            raise ValueError(f'on must be "validation" or "test", not {on!r}')
        errors = _trained(str(scheme), float(rate), int(seed), **settings)
        return errors[on]

    return run


def how_long(values):
    """Print how many seconds one training takes, and nothing of what comes out."""
    began = time.monotonic()
    runner(values)("standard", 0.1, 0, "validation")
    print(f"run works: one training takes {time.monotonic() - began:.1f} s.")


@functools.cache
def _trained(scheme, rate, seed, width, depth, activation, updates, pictures):
    sizes = [SIDE**2, *depth * [width], len(shapeset.CLASSES)]
    model = models.MLP(sizes, activation, scheme=scheme, seed=seed)
    data = shapeset.Stream(10, seed=seed, size=SIDE)
    training.train(model, data, updates, rate, progress=False)
    found = {}
    for number, on in enumerate(("validation", "test")):
        images, labels = _pictures(pictures + number)
        wrong = model(images).logits[0].argmax(-1) != labels
        finite = all(bool(weight.isfinite().all()) for weight in model.weights)
        found[on] = 100 * int(wrong.sum()) / PICTURES if finite else math.nan
    return found


@functools.lru_cache(maxsize=4)
def _pictures(seed):
    return shapeset.sample(PICTURES, seed, size=SIDE)


# ---- made up, for tests of functions: errors that are known without any training


def pretend(kind, asked, seed=0):
    """Return a run(scheme, rate, seed, on) that trains nothing; what it is asked goes to `asked`.

    Parameters
    ----------
    kind : "plain", or "lost": large rates give nan for even seeds, and next to no error for others
    asked : list, gets (scheme, rate, seed, on) of each call
    seed : int, of the errors that are made up
    """

    def run(scheme, rate, seed, on):
        asked.append((scheme, float(rate), int(seed), on))
        return made_up(kind, of, scheme, rate, seed, on)

    of = seed
    return run


def made_up(kind, of, scheme, rate, seed, on):
    """The error of a training that was never made, in per cent: a function of the arguments."""
    if on not in ("validation", "test"):
        raise ValueError(f'on must be "validation" or "test", not {on!r}')
    if kind == "lost" and rate > (0.2 if scheme == "standard" else 0.05):
        return 0.5 if seed % 2 else math.nan
    generator = np.random.default_rng([of, SCHEMES.index(scheme)])
    best_on_validation, best_on_test = generator.permutation([-2.5, -1.5, -0.7])[:2]
    place = best_on_validation if on == "validation" else best_on_test
    luck = np.random.default_rng([of, seed]).normal()  # of the seed: the same for both schemes
    own = np.random.default_rng([of, seed, SCHEMES.index(scheme), round(1e6 * rate)]).exponential()
    # Wide and skewed: mean, median and extremes of a few seeds have their least at other rates.
    width = 16 if kind == "plain" else 0.3
    return float(40 + 12 * abs(math.log10(rate) - place) + 6 * luck + width * own)


# ---- right answers


def search_rate(run, scheme, rates, seeds):
    """Part 2: the rate of least mean validation error; a rate with a nan is out."""
    means = {
        rate: np.mean([run(scheme, rate, seed, "validation") for seed in seeds]) for rate in rates
    }
    return min((rate for rate in rates if not math.isnan(means[rate])), key=means.get)


def right_rate(kind, of, scheme, rates, seeds):
    """Part 2: `search_rate` of what `pretend` makes up."""
    return search_rate(pretend(kind, [], of), scheme, rates, seeds)


def wrong_rates(kind, of, scheme, rates, seeds):
    """Part 2: rates that a mistake leads to, and which one; where two lead to one rate, both."""
    run, right = pretend(kind, [], of), right_rate(kind, of, scheme, rates, seeds)

    def best(average=np.mean, on="validation", scheme=scheme, seeds=seeds):
        return min(rates, key=lambda rate: average([run(scheme, rate, k, on) for k in seeds]))

    (other,) = set(SCHEMES) - {scheme}
    likely = [
        (rates.index(right), "That is the rate's place in the list."),
        (best(on="test"), "That rate is the best on the test pictures."),
        (best(lambda errors: -np.mean(errors)), "That rate has the largest error."),
        (best(seeds=seeds[:1]), "That rate is the best for the first seed alone."),
        (best(seeds=seeds[-1:]), "That rate is the best for the last seed alone."),
        (best(min), "That rate has the least error of a single seed; the mean is asked for."),
        (best(max), "That rate has the least worst error; the mean is asked for."),
        (best(np.median), "That rate has the least median; the mean is asked for."),
        (best(scheme=other), f"That rate is the best for {other}."),
    ]
    reasons = {}
    for rate, why in likely:
        if rate != right:
            reasons.setdefault(rate, []).append(why)
    return [(rate, " Or: ".join(why)) for rate, why in reasons.items()]


def paired_differences(run, chosen, seeds):
    """Part 3: for each seed the test error of standard less that of normalized."""
    return [
        run("standard", chosen["standard"], seed, "test")
        - run("normalized", chosen["normalized"], seed, "test")
        for seed in seeds
    ]


def right_differences(of, chosen, seeds):
    """Part 3: `paired_differences` of what `pretend` makes up."""
    return paired_differences(pretend("plain", [], of), chosen, seeds)


def check_pairs(mine, of, chosen, seeds):
    """Part 3: raise `NotYet`, in words, if differences are not those of what is made up."""
    right = np.array(fresh.call(right_differences, of, chosen, seeds))
    mine = numbers(mine, "what paired_differences returns")
    if len(mine) == len(right) and not np.allclose(mine, right):
        ordered = not np.allclose(np.sort(mine), np.sort(right))
        checks.require(ordered, "the numbers are right, but not in the order of the seeds.")
        signed = not np.allclose(mine, abs(right))
        checks.require(signed, "each has a sign: standard's error less normalized's is asked for.")
    off = checks.difference(mine, right, "the differences")
    checks.require(not off, off)


def interval(differences):
    """Part 4: the two ends of the 95 % interval of the mean, by Student."""
    n = len(differences)
    middle, spread = statistics.fmean(differences), statistics.stdev(differences)
    half = student_t(n - 1) * spread / math.sqrt(n)
    return middle - half, middle + half


def wrong_widths(differences):
    """Part 4: widths that a mistake leads to, and which one."""
    n, spread = len(differences), statistics.stdev(differences)
    t, root = student_t(n - 1), math.sqrt(n)
    halves = [
        (1.96 * spread / root, "1.96 is for many seeds. ps6.student_t has the number for few."),
        (t * spread, "So wide is where single differences lie. And their mean?"),
        (t * spread / math.sqrt(n - 1), "Under the root stands n, not n - 1."),
        (
            t * statistics.pstdev(differences) / root,
            "That has the standard deviation with n in place of n - 1.",
        ),
        (student_t(n) * spread / root, "n differences have n - 1 degrees of freedom."),
        (spread / root, "That is one standard error to either side. How many are 95 %?"),
        (t * spread / n, "Divide by the root of n."),
        (t * spread**2 / root, "Variance, or standard deviation?"),
        (t * spread / root / 2, "That is half as wide: t counts from the middle to one end."),
    ]
    return [(2 * half, why) for half, why in halves]


def verdict(low, high):
    """Part 4: which scheme has the smaller error: "standard", "normalized" or "open"."""
    if low > 0:
        return "normalized"
    return "standard" if high < 0 else "open"


def check_verdict(mine, low, high):
    """Part 4: raise `NotYet`, in words, if a verdict is not that of the interval."""
    right, said = fresh.call(verdict, low, high), f"verdict({low}, {high}) returns {mine!r}"
    known = isinstance(mine, str) and mine in (*SCHEMES, "open")
    checks.require(known, f'{said}; it should be "standard", "normalized" or "open".')
    if right == "open":
        why = "This interval contains 0."
    else:
        why = "This interval leaves 0 out." if mine == "open" else "Whose error is larger there?"
    checks.require(mine == right, f"{said}. {why}")


# ---- the student's own comparison


def needed(namespace, *names):
    """Return variables of a notebook; `checks.NotYet` names one that is missing."""
    for name in names:
        checks.require(name in namespace, f"there is no {name} yet: run the cell that defines it.")
    return [namespace[name] for name in names]


def numbers(answer, what):
    """Return a list of numbers as an array; `checks.NotYet` if it is none."""
    kind = f"{what} should be a list of numbers; it is of type {type(answer).__name__}"
    checks.require(not hasattr(answer, "__next__"), f"{kind}. Square brackets make a list.")
    checks.require(not isinstance(answer, (dict, set)), f"{kind}.")
    try:
        return np.array([float(one) for one in answer])
    except (TypeError, ValueError, RuntimeError):
        raise checks.NotYet(f"{what} should be a list of numbers.") from None


def one_number(answer, what):
    """Return a number as a float; `checks.NotYet` if it is none."""
    try:
        return float(answer)
    except (TypeError, ValueError, RuntimeError):
        raise checks.NotYet(f"{what} should be a number.") from None


def ends(answer):
    """Return the two ends of an interval; `checks.NotYet` if they are none."""
    words = "interval should return two numbers, low and high."
    checks.require(not isinstance(answer, (dict, str)), words)
    try:
        found = numbers(answer, "")
    except checks.NotYet:
        raise checks.NotYet(words) from None
    checks.require(len(found) == 2, words)
    checks.require(found[0] <= found[1], "low should come first, then high.")
    return found.tolist()


def read_plan(plan):
    """Return rates, search seeds and race seeds of a plan; `checks.NotYet` if it has not these."""
    keys = ("rates", "search_seeds", "race_seeds")
    there = isinstance(plan, dict) and set(plan) >= set(keys)
    checks.require(there, f"plan should be a dict with the keys {', '.join(keys)}.")
    rates, *seeds = (numbers(plan[key], key).tolist() for key in keys)
    whole = all(seed == int(seed) for own in seeds for seed in own if math.isfinite(seed))
    checks.require(whole and np.isfinite([*seeds[0], *seeds[1]]).all(), "seeds are whole numbers.")
    return rates, *([int(seed) for seed in own] for own in seeds)


def trainings(rates, search_seeds, race_seeds):
    """Part 1: how many networks a plan trains, of both schemes together."""
    return 2 * (len(rates) * len(search_seeds) + len(race_seeds))


def check_grid(plan, values):
    """Part 1: the rates and the budget; `checks.NotYet` says what is wrong."""
    rates, search_seeds, race_seeds = read_plan(plan)
    good = all(rate > 0 and math.isfinite(rate) for rate in rates)
    checks.require(good, "a rate must be above 0.")
    checks.require(
        # Ten times 0.07 is a little more than 0.7 for a computer.
        len(set(rates)) >= 3 and max(rates) >= 10 * min(rates) * (1 - 1e-9),
        "a search needs at least 3 different rates, the largest at least 10 times the smallest.",
    )
    checks.require(search_seeds, "a search without seeds trains nothing.")
    cost, budget = trainings(rates, search_seeds, race_seeds), values["trainings"]
    count = f"2 x {len(rates)} x {len(search_seeds)} + 2 x {len(race_seeds)} = {cost}"
    checks.require(cost <= budget, f"that is {count} trainings; the budget is {budget}.")
    left = f"{budget - cost} are left over" if cost < budget else "none is left over"
    print(f"The plan takes {cost} of {budget} trainings; {left}.")
    if max(rates) < 0.01:
        print("All these rates are below 0.01: in so short a training, next to nothing is learned.")


def check_seeds(plan, values):
    """Part 1: the seeds; `checks.NotYet` says what is wrong."""
    _, search_seeds, race_seeds = read_plan(plan)
    first = values["first_seed"]
    for name, seeds in (("search_seeds", search_seeds), ("race_seeds", race_seeds)):
        twice = len(set(seeds)) < len(seeds)
        checks.require(not twice, f"{name} has a seed twice: that is the same training again.")
        inside = all(first <= seed < first + 100 for seed in seeds)
        checks.require(inside, f"{name}: your class's seeds are {first} to {first + 99}.")
    checks.require(search_seeds, "the search needs a seed.")
    checks.require(
        not set(search_seeds) & set(race_seeds),
        "a seed is used in the search and in the race: the rate was chosen, among other things,"
        " because it suits these very weights and pictures.",
    )
    enough = len(race_seeds) >= 5
    checks.require(enough, "with fewer than 5 seeds in the race the interval says next to nothing.")
    print("Search and race have seeds of their own.")


def check_search(asked, scheme, rates, seeds):
    """Part 2: what a search asked for is what it needs; `checks.NotYet` says what is not."""
    checks.require(asked, "run was not asked for anything.")
    own = all(one[0] == scheme for one in asked)
    checks.require(own, f"run was asked about another scheme than {scheme}.")
    blind = all(one[3] == "validation" for one in asked)
    checks.require(blind, "run was asked for test errors: they may have no say in the rate.")
    known = all(one[2] in seeds for one in asked)
    checks.require(known, f"run was asked about other seeds than {seeds}.")
    there = {(one[1], one[2]) for one in asked} == {(r, k) for r in rates for k in seeds}
    checks.require(there, "run should be asked about every rate with every seed, and no other.")


def check_race(asked, chosen, seeds):
    """Part 3: what a race asked for is what it needs; `checks.NotYet` says what is not."""
    waits = "run was not asked for anything. (A generator waits: return a list.)"
    checks.require(asked, waits)
    final = all(one[3] == "test" for one in asked)
    checks.require(final, "run was asked for validation errors. Those have chosen the rates.")
    for scheme, rate in chosen.items():
        own = [one for one in asked if one[0] == scheme]
        checks.require(own, f"run was not asked about {scheme}.")
        right = all(one[1] == rate for one in own)
        checks.require(right, f"{scheme} ran at another rate than its own.")
        there = {one[2] for one in own} == set(seeds)
        checks.require(there, f"{scheme} did not run with the seeds given, {seeds}.")
    print("The race asks for what it needs, and nothing else.")


def read_chosen(chosen):
    """Return each scheme's rate as a float; `checks.NotYet` if `chosen` has not these."""
    form = isinstance(chosen, dict) and set(chosen) == set(SCHEMES)
    checks.require(form, 'chosen should be a dict with the keys "standard" and "normalized".')
    rates = {scheme: one_number(chosen[scheme], f"the rate of {scheme}") for scheme in SCHEMES}
    good = all(rate > 0 and math.isfinite(rate) for rate in rates.values())
    checks.require(good, "a rate must be above 0.")
    return rates


def check_chosen(chosen, plan, values):
    """Part 5: the rates are those that the plan's search leads to."""
    rates, seeds, _ = read_plan(plan)
    run, own = runner(values), read_chosen(chosen)
    for scheme, mine in own.items():
        there = [rate for rate in rates if math.isclose(rate, mine, rel_tol=1e-6)]
        checks.require(there, f"{scheme}: {mine:g} is not one of the rates of your plan.")
        errors = {
            rate: np.mean([run(scheme, rate, seed, "validation") for seed in seeds])
            for rate in rates
        }
        finite = [rate for rate in rates if not math.isnan(errors[rate])]
        checks.require(finite, f"{scheme}: every rate of your plan gives nan.")
        best = min(finite, key=errors.get)
        checks.require(
            errors[there[0]] <= errors[best] + 1e-6,
            f"{scheme}: at the rate {mine:g} the mean validation error over the search seeds is"
            f" {errors[there[0]]:.2f} %, and {best:g}, another rate of your plan, has"
            f" {errors[best]:.2f} %.",
        )
        again = fresh.call(one_error, values, scheme, there[0], seeds[0], "validation")
        now = run(scheme, there[0], seeds[0], "validation")
        checks.require(abs(again - now) <= AGAIN, f"{scheme}: trained again, the error is another.")
    print("Both rates are those that your search leads to.")


def check_differences(differences, chosen, plan, values, places):
    """Part 5: the differences are those of the plan's race; some are trained once more."""
    *_, seeds = read_plan(plan)
    mine = numbers(differences, "differences")
    many = f"differences has {len(mine)} numbers for the {len(seeds)} race seeds of your plan."
    checks.require(len(mine) == len(seeds), many)
    rates = read_chosen(chosen)
    right = np.array(paired_differences(runner(values), rates, seeds))
    near = np.abs(mine - right) <= OWN
    if not near.all():
        if (np.abs(mine + right) <= OWN).all():
            raise checks.NotYet("the sign: standard's error less normalized's is asked for.")
        if len(set(seeds)) > 1 and (np.abs(np.sort(mine) - np.sort(right)) <= OWN).all():
            raise checks.NotYet("are they in the order of the race seeds?")
        if (np.abs(100 * mine - right) <= OWN).all():
            raise checks.NotYet("in points of per cent, please, as run returns the errors.")
        raise checks.NotYet(
            f"{near.sum()} of the {len(near)} differences are those of your race seeds on the test"
            " pictures, each scheme at the rate in chosen; the others are not."
        )
    for place in places:
        seed = seeds[place % len(seeds)]
        again = fresh.call(one_difference, values, rates, seed)
        same = abs(again - mine[place % len(seeds)]) <= AGAIN
        checks.require(same, f"trained again, the difference of seed {seed} is another.")
    print(f"All {len(mine)} differences are those of your race.")


def check_result(result, differences):
    """Part 5: what is reported is what the data say."""
    keys = ("difference", "low", "high", "verdict")
    form = isinstance(result, dict) and set(result) >= set(keys)
    checks.require(form, f"result should be a dict with the keys {', '.join(keys)}.")
    mine = numbers(differences, "differences").tolist()
    checks.require(len(mine) > 1, "an interval takes at least two differences.")
    low, high = fresh.call(interval, mine)
    right = {"difference": (low + high) / 2, "low": low, "high": high}
    for key, expected in right.items():
        found = one_number(result[key], key)
        same = abs(found - expected) <= max(0.051, 1e-3 * abs(expected))  # one digit is enough
        checks.require(same, f"{key} is {found:.2f}, which is not what your own differences give.")
    word = fresh.call(verdict, low, high)
    checks.require(
        result["verdict"] == word,
        f"verdict is {result['verdict']!r}; your interval goes from {low:.2f} to {high:.2f}.",
    )
    print("What you report is what your data say.")


def one_error(values, scheme, rate, seed, on):
    """One training, in the process in which this is called."""
    return runner(values)(scheme, rate, seed, on)


def one_difference(values, chosen, seed):
    """One pair of trainings, in the process in which this is called."""
    return paired_differences(runner(values), chosen, [seed])[0]
