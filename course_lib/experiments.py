"""The paper's experiments, one entry per figure and table, at named scales.

An experiment that trains is a list of curves, what to watch on them, and a `Scale`: ``lesson``
takes seconds and shows the outline, ``workstation`` made the results that come with the package,
``paper`` has the paper's own width, batch and number of updates, for a GPU. It becomes a list of
`sweeps.Run`, stacked and swept by `sweeps`.

**Rates.** As in the paper, each curve's learning rate has the least validation error at the end of
training. The grid is searched on a seed that is used for nothing else; with one rate in the grid
there is nothing to search. **Seeds.** All curves of one seed start from the same draws and see the
same stream: common random numbers, a paired comparison.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from course_lib import pretraining, results, surfaces, sweeps, untrained

# Seeds of examples to measure on; training streams use small seeds.
MONITORED, MONITORED_SEED = untrained.EXAMPLES, untrained.EXAMPLES_SEED
VALIDATION_SEED, TEST_SEED = 2_010_001, 2_010_002
EXAMINED = 10_000  # validation and test examples at the end of training
ON_THE_WAY = 2_000  # test examples along an error curve, where 10,000 would cost too much
RATES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # the grid that rates are chosen from
SEARCH_SEED = 100  # of the networks that choose the rates
FIVE, THREE = (0, 1, 2, 3, 4), (0, 1, 2)
PRETRAINING = pretraining.UPDATES


@dataclass(frozen=True)
class Scale:
    """How large the trainings of an experiment are."""

    width: int
    updates: int
    rates: tuple  # the grid
    seeds: tuple = FIVE
    batch_size: int = 10
    pretraining: int = PRETRAINING  # updates of each layer, in curves that have it


@dataclass(frozen=True)
class Curve:
    """A kind of network that an experiment trains once a seed; what stands in a figure's legend."""

    activation: str
    scheme: str = "standard"
    depth: int = 5
    data: str = "shapeset"
    output_bias: bool = True
    cost: str = "cross_entropy"
    pretraining: int = 0

    @property
    def label(self):
        """The paper's own way to write it: ``tanh N, depth 5`` has normalized weights."""
        mark = " N" if self.scheme == "normalized" else ""
        if self.pretraining:
            mark = " pre-trained"
        cost = "" if self.cost == "cross_entropy" else f", {self.cost} cost"
        biases = "" if self.output_bias else ", output biases at 0"
        return f"{self.activation}{mark}, depth {self.depth}{cost}{biases}"

    @classmethod
    def of(cls, run):
        """Return the curve that a run, as the dict of a configuration, belongs to."""
        return cls(**{name: run[name] for name in cls.__dataclass_fields__ if name in run})


@dataclass(frozen=True)
class Training:
    """An experiment that trains.

    Attributes
    ----------
    figure, shows : str, the figure of the paper, or what else it is; one line on what it shows
    curves : tuple of `Curve`;  watches : callable, updates -> tuple of `sweeps.Watch`
    scales : dict, name to `Scale`
    every_rate : bool, train every rate of the grid rather than choose
    rate_of : Curve, optional, whose validation error chooses the rate for all
    rates : dict, optional, `Curve` to the rate that it has at every scale: nothing is searched
    """

    figure: str
    shows: str
    curves: tuple
    watches: Callable
    scales: dict
    every_rate: bool = False
    rate_of: Curve | None = None
    rates: dict | None = None


@dataclass(frozen=True)
class Untrained:
    """An experiment on networks before training: `measure`, of `untrained` or of `surfaces`."""

    figure: str
    shows: str
    measure: Callable
    scales: dict
    seconds: float  # that a network of the workstation scale takes, about, on one core
    elsewhere: bool = False  # looks at CIFAR-10, which may come re-encoded


@dataclass(frozen=True)
class Summary:
    """What the trainings of other experiments end with: `parts` names them."""

    figure: str
    shows: str
    parts: tuple
    scales: tuple = ("lesson", "workstation", "paper")


# ---------------------------------------------------------------- what is watched
SIGMOID_QUANTITIES = (
    "activation_mean",
    "activation_std",
    "activation_saturated",
    "cost",
    "error",
    "logit_weight_rms",
    "logit_bias_rms",
)
BESIDE_JACOBIANS = (
    "activation_std",
    "activation_saturated",
    "back_propagated_std",
    "weight_gradient_std",
    "cost",
    "error",
)
INSIDE = ("activation_mean", "activation_percentiles", *BESIDE_JACOBIANS)
BINS = tuple(round(-1 + 0.1 * k, 1) for k in range(21))  # of .1, from -1 to 1
FINE_BINS = tuple(round(-1 + 0.05 * k, 2) for k in range(41))  # a sigmoid fills the upper 20


def _often(updates, per_decade, records, each=250):
    """Return a schedule dense at first and then even; sparser where the training is short.

    To look at 300 examples costs as much as some 10 to 25 updates. With one even record for `each`
    updates at most it is about a tenth of the training.
    """
    return ("early_and_even", per_decade, min(records, max(10, updates // each)))


def sigmoid_schedule(updates):
    """Return when a sigmoid's story is recorded: early and often, and up to 400 times evenly."""
    return sweeps.schedule(_often(updates, 20, 400), updates)


def _sigmoid(updates):
    when = _often(updates, 20, 400)
    return (
        sweeps.Watch(SIGMOID_QUANTITIES, when, MONITORED, MONITORED_SEED),
        _at_end("validation", updates),
    )


def _inside(updates):
    """Figures 3, 4, 9, 10 and 11 look at the same networks: what happens in them, and the error."""
    fixed = MONITORED, MONITORED_SEED
    return (
        sweeps.Watch(INSIDE, _often(updates, 6, 100, 500), *fixed),
        sweeps.Watch(
            ("activation_histogram",),
            ("early_and_even", 4, 20),
            *fixed,
            edges=(("activation", BINS),),
            name="bins",
        ),
        # One mini-batch's gradient beside the weights: how far a step moves them.
        sweeps.Watch(
            ("weight_gradient_std", "weight_std"),
            ("early_and_even", 4, 20),
            10,
            MONITORED_SEED,
            name="batch",
        ),
        *_errors(updates),
    )


def _errors(updates):
    """Figures 11 and 12, Table 1: the test error on the way and, on more examples, at the end.

    ``test_wrong`` keeps which examples were wrong at the end, for tests paired over them.
    """
    way = _often(updates, 4, 30)
    return (
        sweeps.Watch(("error", "cost"), way, ON_THE_WAY, TEST_SEED, name="way"),
        _at_end("test", updates, ("error", "wrong")),
        _at_end("validation", updates),
    )


def _at_end(part, updates, quantities=("error",)):
    seed = {"validation": VALIDATION_SEED, "test": TEST_SEED}[part]
    examples = min(EXAMINED, max(2_000, updates // 2))  # a short training is not precise anyway
    return sweeps.Watch(quantities, ("at", (updates,)), examples, seed, name=part, part=part)


def _race(updates):
    every = ("every", max(min(updates, 250), updates // 100))
    return (sweeps.Watch(("error", "cost"), every, EXAMINED, TEST_SEED),)


def _jacobians(updates):
    when = _often(updates, 10, 100, 500)
    return (
        sweeps.Watch(BESIDE_JACOBIANS, when, MONITORED, MONITORED_SEED),
        sweeps.Watch(
            ("mean", "rms", "geometric_mean"), when, MONITORED, MONITORED_SEED, kind="jacobian"
        ),
    )


def frames(updates):
    """Return the updates at which a training film is recorded: round, dense at first, then even."""
    round_ones = {m * 10**k for k in range(len(str(updates))) for m in (1, 2, 3, 5, 7)}
    even = range(0, updates + 1, max(1, updates // 10))
    return tuple(sorted({k for k in round_ones if k < updates} | {*even, updates}))


def _film(updates):
    """The training film: every layer at the same moments."""
    moments = ("at", frames(updates))
    return (
        sweeps.Watch(
            (
                "activation_histogram",
                "activation_mean",
                "activation_percentiles",
                "activation_std",
                "activation_saturated",
                "back_propagated_std",
                "weight_gradient_std",
            ),
            moments,
            MONITORED,
            MONITORED_SEED,
            percentiles=(2, 50, 98),
            edges=(("activation", FINE_BINS),),
        ),
        sweeps.Watch(("error", "cost"), moments, ON_THE_WAY, TEST_SEED, name="way"),
        _at_end("test", updates),
        _at_end("validation", updates),
    )


# ---------------------------------------------------------------- the experiments
_PAPER = Scale(1000, 5_000_000, RATES)
_OWN = Scale(1000, 1_000_000, (0.03,))  # for what is not in the paper: its width, our length
_SIGMOID4 = Curve("sigmoid", depth=4)
_PAIR = (Curve("tanh"), Curve("tanh", "normalized"))
_FIVE_CURVES = (
    Curve("sigmoid"),
    Curve("tanh"),
    Curve("softsign"),
    Curve("softsign", "normalized"),
    Curve("tanh", "normalized"),
)

# The paper does not say which activation its pre-trained curve has, nor how the auto-encoders'
# weights were drawn. Decided before any was trained: the tanh network stands for the curve, as the
# activation in which the paper compares initialisations; the sigmoid networks, beside it, answer
# whether they still saturate. Weights are drawn by Eq. (1), the rule that the paper calls the usual
# one, as in the studies of pre-training of that time: Eq. (16) had yet to be written.
_PRETRAINED = (
    Curve("tanh", pretraining=PRETRAINING),
    Curve("sigmoid", pretraining=PRETRAINING),
    Curve("sigmoid", depth=4, pretraining=PRETRAINING),
)


# The rates of the film, depth 1 to 5: those that `depths` and `fig11` chose for the
# same network of 100 units. For softsign they chose at depth 5 alone: its shallower networks have
# that rate. No rate of the grid trained a sigmoid network of depth 5: it has the rate of depth 4.
# For normalized sigmoid networks there was no search: they have the rates of the standard ones.
_FILM_RATES = {
    ("sigmoid", "standard"): (0.1, 0.3, 0.1, 1.0, 1.0),
    ("sigmoid", "normalized"): (0.1, 0.3, 0.1, 1.0, 1.0),
    ("tanh", "standard"): (0.01, 0.01, 0.01, 0.01, 0.01),
    ("tanh", "normalized"): (0.01, 0.03, 0.01, 0.01, 0.01),
    ("softsign", "standard"): (0.03, 0.03, 0.03, 0.03, 0.03),
    ("softsign", "normalized"): (0.01, 0.01, 0.01, 0.01, 0.01),
}
FILM_RATES = {
    Curve(activation, scheme, depth): rate
    for (activation, scheme), rates in _FILM_RATES.items()
    for depth, rate in enumerate(rates, 1)
}


def _five_curves(data):
    return tuple(replace(curve, data=data) for curve in _FIVE_CURVES)


_WORKSTATION = {
    "workstation-100": Scale(100, 200_000, RATES),
    "workstation": Scale(300, 100_000, RATES),
    "paper": _PAPER,
}
_INSIDE = {"lesson": Scale(100, 20_000, (0.1,), (0,))} | _WORKSTATION

# What can be reproduced by name: ``hard-to-train reproduce fig02 --scale lesson``.
EXPERIMENTS = {
    "fig02": Training(
        "Figure 2",
        "activations of a sigmoid network whose top layer shuts down and comes back (C01 to C06)",
        (_SIGMOID4,),
        _sigmoid,
        {
            "lesson": Scale(100, 60_000, (1.0,), THREE),
            "workstation": Scale(100, 400_000, (0.3,)),  # as `sigmoid_rates` chose
            "paper": _PAPER,
        },
    ),
    "fig03": Training(
        "Figure 3",
        "tanh and softsign layers as they saturate, standard weights (C08, C09)",
        (Curve("tanh"), Curve("softsign")),
        _inside,
        _INSIDE,
    ),
    "fig04": Training(
        "Figure 4",
        "histograms of the same networks' activations at the end (C10)",
        (Curve("tanh"), Curve("softsign")),
        _inside,
        _INSIDE,
    ),
    "fig09": Training(
        "Figure 9",
        "gradients of each layer during training, standard and normalized tanh (C17, C18)",
        _PAIR,
        _inside,
        {
            "lesson": Scale(300, 10_000, (0.03,), (0,)),
            "workstation-100": _WORKSTATION["workstation-100"],
            "workstation-300": _WORKSTATION["workstation"],
            "workstation": Scale(1000, 20_000, RATES),  # the effect needs width
            "paper": _PAPER,
        },
    ),
    "fig10": Training(
        "Figure 10",
        "tanh layers as they saturate, normalized weights (C19)",
        (Curve("tanh", "normalized"),),
        _inside,
        _INSIDE,
    ),
    "fig11": Training(
        "Figure 11",
        "test error on Shapeset, all activations and schemes (C20, C21, C29)",
        (*_FIVE_CURVES, _SIGMOID4),
        _inside,
        {"lesson": Scale(100, 5_000, (0.03, 0.1, 0.3), THREE)} | _WORKSTATION,
    ),
    "fig12": Training(
        "Figure 12",
        "test error on MNIST and CIFAR-10 (C22)",
        _five_curves("mnist") + _five_curves("cifar10"),
        _errors,
        {
            "lesson": Scale(100, 5_000, (0.03, 0.1, 0.3), THREE),
            "workstation": Scale(100, 100_000, RATES),
            "paper": _PAPER,
        },
    ),
    "table1": Summary(
        "Table 1",
        "final test errors on the three data sets, beside the paper's (C21, C22)",
        ("fig11", "fig12"),
    ),
    "costs": Training(
        "section 4.1",
        "tanh networks trained on the quadratic cost, to compare with Figure 11's (C12)",
        tuple(replace(curve, cost="quadratic") for curve in _PAIR),
        _inside,
        {
            "lesson": Scale(100, 5_000, (0.1, 0.3, 1.0), THREE),
            "workstation": _WORKSTATION["workstation-100"],
            "paper": _PAPER,
        },
    ),
    "depths": Training(
        "section 2.3",
        "error of networks with 1 to 4 hidden layers, to compare with Figure 11's (C26)",
        (
            *(replace(curve, depth=depth) for curve in _PAIR for depth in (1, 2, 3, 4)),
            *(Curve("sigmoid", depth=depth) for depth in (1, 2, 3)),
        ),
        _errors,
        {
            "lesson": Scale(100, 5_000, (0.03, 0.1, 0.3), THREE),
            "workstation": Scale(100, 200_000, RATES, THREE),
            "paper": _PAPER,
        },
    ),
    "pretrained": Training(
        "Figure 11",
        "networks that auto-encoders have trained before, to compare with Figure 11's (C07, C27)",
        _PRETRAINED,
        _inside,
        {
            "lesson": Scale(100, 5_000, (0.03, 0.1, 0.3), THREE, pretraining=2_000),
            "workstation": _WORKSTATION["workstation-100"],
            "workstation-300": _WORKSTATION["workstation"],
            "paper": _PAPER,
        },
    ),
    "sigmoid_elsewhere": Training(
        "section 3.1",
        "a sigmoid network's activations on MNIST and CIFAR-10 (C31)",
        (replace(_SIGMOID4, data="mnist"), replace(_SIGMOID4, data="cifar10")),
        _sigmoid,
        {
            "lesson": Scale(100, 20_000, (0.3,), (0,)),
            "workstation": Scale(100, 100_000, RATES),
            "paper": _PAPER,
        },
    ),
    "race_depth8": Training(
        "lesson 0",
        "test error of standard and normalized tanh networks of depth 8, at one rate",
        (Curve("tanh", depth=8), Curve("tanh", "normalized", depth=8)),
        _race,
        {
            "lesson": Scale(100, 5_000, (0.03,), THREE),
            "workstation": Scale(100, 100_000, (0.03,)),
            "paper": _OWN,
        },
    ),
    "sigmoid_rates": Training(
        "for Figure 2",
        "the same sigmoid network at six rates, with its validation error",
        (_SIGMOID4,),
        _sigmoid,
        {
            "lesson": Scale(100, 5_000, RATES, (SEARCH_SEED,)),
            "workstation": Scale(100, 400_000, RATES, (SEARCH_SEED,)),
            "paper": replace(_PAPER, seeds=(SEARCH_SEED,)),
        },
        every_rate=True,
    ),
    "sigmoid_depth4_frozen": Training(
        "for Figure 2",
        "the same sigmoid network with its output biases held at 0 (C06)",
        (replace(_SIGMOID4, output_bias=False),),
        _sigmoid,
        {
            "lesson": Scale(100, 3_000, (1.0,), THREE),
            "workstation": Scale(100, 50_000, (0.3,)),
            "paper": _PAPER,
        },
        rate_of=_SIGMOID4,
    ),
    "sigmoid_depth5": Training(
        "for Figure 2",
        "a sigmoid network with one layer more, at the same rate (C05)",
        (Curve("sigmoid"),),
        _sigmoid,
        {
            "lesson": Scale(100, 60_000, (1.0,), THREE),
            "workstation": Scale(100, 500_000, (0.3,)),
            "paper": _PAPER,
        },
        rate_of=_SIGMOID4,
    ),
    "jacobian_training": Training(
        "lesson 9",
        "the layers' Jacobians during training, standard and normalized tanh",
        _PAIR,
        _jacobians,
        {
            "lesson": Scale(100, 10_000, (0.03,), THREE),
            "workstation": Scale(100, 200_000, (0.03,)),
            "paper": _OWN,
        },
    ),
    "film": Training(
        "lessons 3, 4, 10",
        "every layer of networks with 1 to 5 hidden layers at 31 moments of their training",
        tuple(FILM_RATES),
        _film,
        {
            "lesson": Scale(100, 10_000, (), (0,)),
            "workstation": Scale(100, 100_000, (), THREE),
            "paper": Scale(1000, 1_000_000, (), THREE),
        },
        rates=FILM_RATES,
    ),
    "signal_at_initialisation": Untrained(
        "Figures 6 to 8",
        "activations and gradients before training, both schemes (C13 to C15)",
        untrained.signal_at_initialisation,
        {
            "lesson": untrained.Networks(300, 10),
            "workstation": untrained.Networks(1000, 40),
            "paper": untrained.Networks(1000, 40),
        },
        seconds=2,
    ),
    "signal_elsewhere": Untrained(
        "Figures 6 to 8",
        "the same on MNIST and CIFAR-10 (C31)",
        untrained.signal_elsewhere,
        {
            "lesson": untrained.Networks(300, 10),
            "workstation": untrained.Networks(1000, 20),
            "paper": untrained.Networks(1000, 20),
        },
        seconds=5,
        elsewhere=True,
    ),
    "jacobian_at_initialisation": Untrained(
        "section 4.2.2",
        "singular values of the layers' Jacobians before training (C16, C28)",
        untrained.jacobian_at_initialisation,
        {
            "lesson": untrained.Networks(200, 3),
            "workstation": untrained.Networks(1000, 20),
            "paper": untrained.Networks(1000, 20),
        },
        seconds=40,
    ),
    "cost_surfaces": Untrained(
        "Figure 5",
        "both costs over two weights of small networks, and how much of them is flat (C11)",
        surfaces.cost_surfaces,
        {
            "lesson": surfaces.Draws(cells=50),
            "workstation": surfaces.Draws(),
            "paper": surfaces.Draws(),
        },
        seconds=4,
    ),
}


def find(name, scale="lesson"):
    """Return the experiment called `name`; ValueError if it or its scale does not exist."""
    if name not in EXPERIMENTS:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    if scale not in experiment.scales:
        raise ValueError(f"{name} has no scale {scale!r}; it has: {', '.join(experiment.scales)}")
    return experiment


def of_result(name):
    """Return (experiment, scale) that a shipped result comes from: fig11-100 is workstation-100."""
    experiment, _, width = name.partition("-")
    return experiment, f"workstation-{width}" if width else "workstation"


# ---------------------------------------------------------------- as runs
def search(name, scale="lesson", reencoded=False):
    """Return the runs that choose the rates of an experiment, on a seed of their own.

    Parameters
    ----------
    name, scale : str, of `EXPERIMENTS`;  reencoded : bool, as for `trainings`

    Returns
    -------
    list of `sweeps.Run`, empty where there is nothing to choose
    """
    found = []
    for experiment, size in trainings(name, scale, reencoded):
        if experiment.every_rate or experiment.rates or len(size.rates) == 1:
            continue
        watches = (_at_end("validation", size.updates),)
        for curve in (experiment.rate_of,) if experiment.rate_of else experiment.curves:
            found += [_run(curve, size, rate, SEARCH_SEED, watches) for rate in size.rates]
    return found


def runs(name, scale="lesson", seeds=None, rates=None, reencoded=False):
    """Return the runs whose curves an experiment shows, seed by seed.

    Parameters
    ----------
    name, scale : str, of `EXPERIMENTS`
    seeds : int, how many in place of the scale's own number
    rates : dict, `Curve` to rate, as `reproduce.choose` gives it
        Where one is missing, the first of the grid stands for it.
    reencoded : bool, as for `trainings`

    Returns
    -------
    list of `sweeps.Run`; empty for networks that are not trained
    """
    found = []
    for experiment, size in trainings(name, scale, reencoded):
        watches, given = experiment.watches(size.updates), experiment.rates or rates or {}
        for seed in _seeds(size.seeds, seeds):
            for curve in experiment.curves:
                chosen = given.get(experiment.rate_of or curve) or size.rates[0]
                for rate in size.rates if experiment.every_rate else (chosen,):
                    found.append(_run(curve, size, rate, seed, watches))
    return found


def trainings(name, scale, reencoded=False):
    """Return the trainings that make up an experiment, as pairs (`Training`, `Scale`).

    `reencoded` puts files that are not the official bytes in the place of CIFAR-10, under a name
    that says so in every result.
    """
    experiment = find(name, scale)
    if isinstance(experiment, Summary):
        return [pair for part in experiment.parts for pair in trainings(part, scale, reencoded)]
    if isinstance(experiment, Untrained):
        return []
    size, kinds = experiment.scales[scale], []
    for curve in experiment.curves:
        data = "cifar10_reencoded" if reencoded and curve.data == "cifar10" else curve.data
        before = size.pretraining if curve.pretraining else 0
        kinds.append(replace(curve, data=data, pretraining=before))
    return [(replace(experiment, curves=tuple(kinds)), size)]


def curves(history):
    """Return the runs of each curve that did not diverge: dict, `Curve` to list of numbers."""
    found = {}
    for number, run in enumerate(results.runs(history)):
        if history["diverged"][number] < 0:
            found.setdefault(Curve.of(run), []).append(number)
    return found


def _seeds(own, count):
    if count is None:
        return own
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"seeds must be a whole number of at least 1, not {count!r}")
    return tuple(range(own[0], own[0] + count))


def _run(curve, size, rate, seed, watches):
    return sweeps.Run(
        **asdict(curve),
        learning_rate=rate,
        seed=seed,
        updates=size.updates,
        width=size.width,
        batch_size=size.batch_size,
        watches=watches,
    )
