"""The paper's claims in our own words, each with the criterion that was fixed beforehand.

`criteria` and its like have the criteria as functions; `claims` is the ledger, with the verdicts.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """A statement of the paper that an experiment can support or not.

    Attributes
    ----------
    id : str, C01 .. C31
    where : str, section and figure
    statement, criterion : str, in our own words; the criterion was fixed before measuring
    lesson : str, the file name of the lesson that measures it, or empty
    paper : str, the paper's own number, where it gives one
    why : str, our best explanation, where the claim holds in part or not at all
    """

    id: str
    where: str
    statement: str
    criterion: str
    lesson: str = ""
    paper: str = ""
    why: str = ""


_SIGMOID = "03_watch_the_sigmoid_saturate"
_SIGNAL = "08_see_the_signal_at_initialisation"
_JACOBIAN = "09_monitor_the_jacobian"
_ACTIVATIONS = "04_compare_activations"
_COSTS = "05_compare_costs"
_GRADIENTS = "10_follow_gradients_in_training"
_RACE = "11_race_the_error_curves"
_PRETRAIN = "12_pretrain_with_autoencoders"

CLAIMS = (
    Claim(
        "C01",
        "Section 3.1, Fig. 2",
        "In a sigmoid network of depth 4 the top hidden layer is driven to about 0 early on.",
        "The top layer's mean is below .1 within Quick.",
        _SIGMOID,
    ),
    Claim(
        "C02",
        "Section 3.1, Fig. 2",
        "Meanwhile the other hidden layers have a mean above .5, decreasing from output to input.",
        "At the top layer's minimum: (a) m1, m2, m3 > .5; (b) m3 > m2 > m1.",
        _SIGMOID,
        why="Layers 2 and 3 do as claimed in every seed. Layer 1 stays where it starts, within .03 "
        "of .5, on either side of it.",
    ),
    Claim(
        "C03",
        "Section 3.1, Fig. 2",
        "After a long plateau the top layer leaves saturation by itself.",
        "(a) m4 < .1 lasts 10 times as long as its fall took; (b) m4 > .2 later.",
        _SIGMOID,
        why="The network does leave its plateau, as its cost shows, but with a top layer that "
        "stays low: a few units that speak up seem to be enough for nine classes. The paper's "
        "layers had ten times as many units, and more time.",
    ),
    Claim(
        "C04",
        "Section 3.1",
        "When it does, the first hidden layer begins to saturate, and settles.",
        "Share of z1 outside [.05, .95]: (a) triples from half to twice the escape time; "
        "(b) changes by less than 20 % in the last quarter of training.",
        _SIGMOID,
    ),
    Claim(
        "C05",
        "Section 3.1",
        "A sigmoid network of depth 5 never escapes.",
        "m5 < .1 at 3 times depth 4's escape time, at the same rate.",
        _SIGMOID,
    ),
    Claim(
        "C06",
        "Section 3.1",
        "The mechanism: the output relies on its biases first, and the gradient pushes W h, "
        "and with it h, to 0.",
        "(a) The rms of W h falls 5-fold while the cost is at most 1.02 x 2.110 nats, the entropy "
        "of the priors; (b) with output biases frozen at 0 there is no m4 < .1 in 3 times that "
        "time.",
        _SIGMOID,
        why="W h is pushed out, as claimed, but the biases are not needed for it: with biases "
        "frozen at 0 the top layer falls as well. A hidden layer that is alike for all images is "
        "noise to the output, and shrinking it lowers the cost, biases or not.",
    ),
    Claim(
        "C07",
        "Section 3.1",
        "A sigmoid network that starts from unsupervised pre-training does not saturate so.",
        "Pre-trained: the top layer's mean is above .1 throughout.",
        _PRETRAIN,
        why="Its top layer does not shut down, and the network learns from its first updates on. "
        "But few units speak at a time in such a code, so its mean is low by itself: about .1 "
        "with 100 units and .05 with 300, and the criterion draws its line at .1.",
    ),
    Claim(
        "C08",
        "Section 3.2, Fig. 3",
        "With tanh and standard initialisation, layers saturate one after the other from layer 1 "
        "up.",
        "Strictly increasing over layers 1 to 4, last/first at least 3: (a) by t; (b) by h.",
        _ACTIVATIONS,
        why="All layers begin to rise together, when the cost leaves its first plateau, and rise "
        "to different heights, lower layers to larger ones. A fixed line turns heights into times, "
        "where it is reached. At width 300 activations stay smaller, even at the same error: lines "
        "from .2 to .4 find the order in every seed, the one at .5 only reaches layer 1.",
    ),
    Claim(
        "C09",
        "Section 3.3, Fig. 3",
        "Softsign saturates less, and its layers do so together: fast at first, then slowly.",
        "(a) p98 at T below tanh's, layers 1 to 4; (b) largest h/smallest h at most 2; (c) t4/t1 "
        "at most half of tanh's; (d) half of the rise by T/5.",
        _ACTIVATIONS,
        why="Softsign's layers rise to heights so different that the upper ones pass the line at "
        ".5 late or never. At width 300 tanh leaves its plateau much later, and saturates less in "
        "the same time. By its slopes softsign saturates more than tanh at either width, not less.",
    ),
    Claim(
        "C10",
        "Section 3.3, Fig. 4",
        "At the end of training tanh piles up at -1, +1 or 0; softsign's modes are at its knees, "
        "around .6 to .8.",
        "Histograms with bins of .1: (a) tanh's modes at |z| >= .9 or < .1, all layers; "
        "(b) softsign's at .5 to .9 in 3 or more layers.",
        _ACTIVATIONS,
        why="Softsign's modes move outwards as training goes on, from layer 1 up. After 100,000 "
        "updates two layers have come so far at width 300; at width 100 three seeds of five had no "
        "more by then, and all had three or more at 200,000. tanh of width 300 is still fullest at "
        "0 in all layers, as before training, so that (a) says little there.",
    ),
    Claim(
        "C11",
        "Section 4.1, Fig. 5",
        "The quadratic cost has the more severe plateaus.",
        "A 1-1-1 network, weights in [-8, 8] x [-8, 8]: the area where the gradient is under 5 % "
        "of its maximum is at least 2 times larger (20 draws).",
        _COSTS,
    ),
    Claim(
        "C12",
        "Section 4.1",
        "Log-likelihood trains much better than the quadratic cost.",
        "Error lower by at least 2 points, each cost at its own best rate.",
        _COSTS,
        why="At its own best rate, three to ten times as large, the quadratic cost trains nearly "
        "as well: its gradients are smaller by such a factor. At the log-likelihood's best rate "
        "for both, the gap is 25 points with standard weights and 10 with normalized ones. A "
        "plateau takes answers that are certain and wrong: a trial found hardly any (lesson 5).",
    ),
    Claim(
        "C13",
        "Section 4.2, Fig. 6",
        "tanh at initialisation: activations shrink layer by layer under standard weights, and "
        "hold under normalized ones.",
        "sd5/sd1: (a) standard at most .2; (b) normalized at least .8 (P: at least .5).",
        _SIGNAL,
        why="Eq. (16) keeps the variance of a linear network. A tanh is below its tangent, so a "
        "little is lost in every layer; the recursion for tanh units predicts how much.",
    ),
    Claim(
        "C14",
        "Section 4.2, Fig. 7",
        "tanh at initialisation: back-propagated gradients shrink towards the input under standard "
        "weights, and hold under normalized ones.",
        "sd of dC/ds, layer 1/layer 5: (a) standard at most .2; (b) normalized .8 to 1.25 "
        "(P: .5 to 2).",
        _SIGNAL,
        why="The same: slopes of tanh below 1 shrink the gradient a little in every layer, as the "
        "recursion predicts.",
    ),
    Claim(
        "C15",
        "Section 4.2, Fig. 8, Eq. (14)",
        "tanh at initialisation: weight gradients are about equal in every layer, under both.",
        "Hidden layers, largest/smallest sd at most 1.25 under both (P: 2).",
        _SIGNAL,
    ),
    Claim(
        "C16",
        "Section 4.2.2",
        "The mean singular value of the Jacobians is about .5 with standard and .8 with "
        "normalized weights.",
        "Average over layers in .45 to .55 and in .75 to .85.",
        _JACOBIAN,
        "about .5 and .8",
        "With standard weights it is in the range; with normalized ones it misses it by little. "
        "The images decide: fainter ones saturate the units less, and give more.",
    ),
    Claim(
        "C17",
        "Section 4.3",
        "The decay of gradients towards the input reverses very quickly in training.",
        "sd of dC/ds: layer 1 at least layer 5 within Quick (P: by T).",
        _GRADIENTS,
    ),
    Claim(
        "C18",
        "Section 4.3, Fig. 9",
        "Weight gradients of different layers drift apart in training, larger below, and more so "
        "under standard weights.",
        "Width 1000, at T, M = largest/smallest sd: (a) standard M at least 3, layer 1 > layer 5; "
        "(b) normalized M at most half of that.",
        _GRADIENTS,
        why="Layers drift apart as claimed, and layer 1 leads. But at width 1000 all 20,000 "
        "updates pass on the first plateau of the standard networks, at every rate that was tried. "
        "At width 300 they have time to leave it, and after that M goes above 5 in every seed.",
    ),
    Claim(
        "C19",
        "Section 4.3, Fig. 10",
        "tanh with normalized weights behaves like softsign: its layers do not saturate in turn.",
        "Neither t nor h is ordered by depth; largest h/smallest h at most 2.",
        _ACTIVATIONS,
        why="A larger rate makes a sequence, and at width 300 the best rate is larger: .03. At "
        "width 100 three seeds of five have one by t at that rate, none at the best, .01. Pictures "
        "are long vectors, so that layer 1 moves furthest; with shorter ones (lesson 4) the order "
        "is gone.",
    ),
    Claim(
        "C20",
        "Section 5, Fig. 11",
        "Final error on Shapeset, worst to best: sigmoid depth 5, sigmoid depth 4, tanh, softsign, "
        "softsign N, tanh N, pre-trained.",
        "All 6 neighbours A > B (P: 4 of them, and both ends right).",
        _RACE,
        "82.61, not given, 27.15, 16.27, 16.06, 15.60 %, not given",
        why="At width 300 four of the six neighbours are as claimed. Of the other two, the sigmoid "
        "networks both stay at chance, since in 100,000 updates depth 4 does not leave its "
        "plateau there, and softsign N ends a point below tanh N. At width 100 the four best "
        "end within three points, and pre-training does not help tanh (lessons 11 and 12).",
    ),
    Claim(
        "C21",
        "Section 5, Table 1",
        "Softsign is more robust to the initialisation than tanh.",
        "The gap between softsign and softsign N is at most half of that between tanh and tanh N, "
        "and tanh > tanh N.",
        _RACE,
        "16.27 and 16.06 %, 27.15 and 15.60 %",
    ),
    Claim(
        "C22",
        "Section 5, Fig. 12",
        "On MNIST and CIFAR-10 the sigmoid is worst, tanh N is best or tied, and gaps are smaller.",
        "On both: the sigmoid is worst; tanh N within 1 standard error of the best; tanh less "
        "tanh N below Shapeset's.",
        _RACE,
        "MNIST: sigmoid 2.21, tanh 1.76, softsign 1.64, softsign N 1.72, tanh N 1.64 %; "
        "CIFAR-10: 57.28, 55.9, 55.78, 53.8, 52.92 %",
        why="In the mean over seeds all of it holds on both sets. Seed by seed it does not: on "
        "MNIST softsign ends level with the sigmoid, at a rate that suited the one network that "
        "chose it better than the five; on CIFAR-10 tanh and tanh N scatter by as much as they "
        "differ, and at this width Shapeset's own gap is small.",
    ),
    Claim(
        "C23",
        "Section 5",
        "An RBF SVM on 100,000 Shapeset examples is worse than tanh N at depth 5.",
        "By at least 5 points (P: A > B).",
        paper="59.47 and 50.47 %",
    ),
    Claim(
        "C24",
        "Section 5",
        "A rate per parameter (from the Hessian's diagonal or the gradient's variance) helps tanh "
        "with standard weights, though not to the level of normalized; both together help further.",
        "For each method: (a) it beats plain; (b) it loses to N; (c) N with it beats N.",
    ),
    Claim(
        "C25",
        "Section 5",
        "The gains hold when layers grow or shrink with depth.",
        "Widths times 2 and divided by 2 across depth: the gain is at least half of that at equal "
        "width.",
    ),
    Claim(
        "C26",
        "Section 2.3",
        "The best depth on Shapeset is 5, for the sigmoid 4.",
        "Least validation error at depth 5, for the sigmoid at 4 (P: the sigmoid's is shallower).",
        _RACE,
        "5, and 4 for the sigmoid",
        why="tanh networks are best with 4 layers or 5, and seeds disagree between these two. The "
        "sigmoid is best with 2 or 3: with 4 its plateau takes much of the training, with 5 all.",
    ),
    Claim(
        "C27",
        "Section 5",
        "Normalized initialisation removes a good part of the gap to pre-training.",
        "(tanh - tanh N)/(tanh - pre-trained) at least .5 (P: .25).",
        _PRETRAIN,
    ),
    Claim(
        "C28",
        "Section 4.2.2",
        "The mean singular value equals the volume ratio and the variance ratio.",
        "Geometric mean and variance ratio within 10 % of the mean (expected: not reproduced).",
        _JACOBIAN,
        "about .5 and .8 for all three",
        "Three different averages of the same singular values: they agree only where all of these "
        "are equal, and those of a random matrix are spread from nearly 0 to twice their rms.",
    ),
    Claim(
        "C29",
        "Abstract",
        "Normalized initialisation converges much faster.",
        "tanh N reaches tanh's final error in at most half the updates (P: in fewer).",
        _RACE,
    ),
    Claim(
        "C30",
        "Section 3.2",
        "tanh and softsign show no early saturation of the top layer.",
        "Share of |z| > .9 in the top layer below 5 % up to Quick.",
        _ACTIVATIONS,
    ),
    Claim(
        "C31",
        "Sections 3.1 and 4.2.2",
        "The other data sets show the same behaviour.",
        "The verdicts of C01 and C13 to C15 recur on MNIST and CIFAR-10.",
        _RACE,
        why="Seven of eight verdicts recur. The other, C15 on CIFAR-10: Eq. (16) asks for equal "
        "widths to keep gradients equal; from 3072 inputs to 1000 units it enlarges the "
        "signal, and units of layer 1 saturate a little.",
    ),
)
