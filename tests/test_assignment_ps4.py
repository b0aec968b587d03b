"""Assignment 4, graded: the instrument, the diagnoses and the cure each get their own points."""

import math
import re
import subprocess
import sys
import zipfile

import assignment
import jupytext
import numpy as np
import pytest
import torch

from course_lib import activations, checks
from course_lib.classroom import patients, sources
from course_lib.classroom.references import ps4

SOURCE = sources.read(sources.find("ps4"))
SOLUTIONS = assignment.solutions(SOURCE)
DRAWN = sources.draw(SOURCE, assignment.SECRET)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The working folder holds the files of a class: that of the tests, until called again."""
    monkeypatch.chdir(tmp_path)

    def write(secret=assignment.SECRET):
        sources.write_files(SOURCE, tmp_path, secret)

    write()
    return write


# ---- the patients


def test_published_patients_are_those_of_the_empty_secret():
    setting, secret = sources.draw(SOURCE)
    there = {"ward": setting["ward"]} | {k: v for k, v in secret.items() if k in patients.PUBLISHED}
    assert there == patients.PUBLISHED


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_files_tell_nothing_by_name_size_or_what_is_listed(secret, tmp_path):
    sources.write_files(SOURCE, tmp_path, secret)
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"patient_{name}.npz" for name in "abcdef"]
    assert len({path.stat().st_size for path in paths}) == 1
    lists = set()
    for path in paths:
        with zipfile.ZipFile(path) as file:
            about = [(i.filename, i.date_time, i.file_size, i.extra) for i in file.infolist()]
            lists.add(repr((about, file.comment)))
    assert len(lists) == 1
    assert sum(path.stat().st_size for path in paths) < 1_000_000


def test_files_come_out_the_same_and_hold_the_networks(tmp_path):
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        patients.write(folder, *DRAWN)
    for name, net in patients.ward(DRAWN.setting, tmp_path / "one").items():
        file = f"patient_{name}.npz"
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        made = patients.network(
            DRAWN.setting,
            *patients.diagnosis(DRAWN.secret)[name],
            DRAWN.secret["seed"] + 10 * patients.NAMES.index(name),
        )
        for mine, its in zip(net.parameters(), made.parameters(), strict=True):
            assert torch.equal(mine, its)
        assert str(net) == str(made)


def test_a_file_that_is_missing_foreign_or_damaged_is_named(tmp_path):
    patients.write(tmp_path, *DRAWN)
    path = tmp_path / "patient_c.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"patient_c\.npz is damaged"):
        patients.ward(DRAWN.setting, tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"patient_c\.npz is missing"):
        patients.ward(DRAWN.setting, tmp_path)
    other = sources.draw(SOURCE, "another class")
    patients.write(tmp_path, *other)
    with pytest.raises(ValueError, match=rf"is of ward {other.setting['ward']}; this notebook's"):
        patients.ward(DRAWN.setting, tmp_path)


def test_a_pickle_in_the_place_of_a_patient_is_not_opened(tmp_path):
    patients.write(tmp_path, *DRAWN)
    np.savez(tmp_path / "patient_a.npz", ward=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"patient_a\.npz is damaged"):
        patients.ward(DRAWN.setting, tmp_path)


def test_without_files_only_the_published_patients_are_made(tmp_path):
    published = sources.draw(SOURCE)
    made = patients.ward(published.setting, tmp_path)
    patients.write(tmp_path, *published)
    for name, net in patients.ward(published.setting, tmp_path).items():
        for mine, its in zip(net.parameters(), made[name].parameters(), strict=True):
            assert torch.equal(mine, its)


@pytest.mark.parametrize("condition", patients.CONDITIONS)
def test_planted_fault_is_where_it_is_said(condition):
    setting, layer = DRAWN.setting, 3
    where = 0 if condition in patients.NO_LAYER else layer
    healthy = patients.textbook(setting, "healthy").state_dict()
    sick = patients.textbook(setting, condition, where).state_dict()
    changed = {name for name in healthy if not torch.equal(healthy[name], sick[name])}
    assert (
        changed
        == {
            "healthy": set(),
            "weights too large": {"4.weight"},
            "weights too small": {"4.weight"},
            "shut by its biases": {"4.bias"},
            "equal rows": {"4.weight", "4.bias"},
            "exploding gradient": {f"{2 * k}.weight" for k in range(6)},
        }[condition]
    )


def test_what_no_patient_can_have_is_refused():
    with pytest.raises(ValueError, match="condition must be one of healthy, .*, not 'flu'"):
        patients.textbook(DRAWN.setting, "flu")
    with pytest.raises(ValueError, match="layer must be from 1 to 6, not 7"):
        patients.textbook(DRAWN.setting, "equal rows", 7)


def test_reference_monitor_agrees_with_plain_torch():
    net, x, labels, f = ps4.example(DRAWN.setting)
    s = x
    for module in net:
        s = module(s)
        if isinstance(module, torch.nn.Linear):
            s.retain_grad()
    outputs, gradients = ps4.record(net, x, labels)
    assert len(outputs) == len(gradients) == len(net) // 2
    one = net[:2](x[:1])
    torch.testing.assert_close(outputs[0][:1], one, rtol=0, atol=1e-15)
    s0 = net[0](x[:1]).detach().requires_grad_()
    cost = torch.nn.functional.cross_entropy(net[1:](s0), labels[:1])
    (gradient,) = torch.autograd.grad(cost, s0)
    torch.testing.assert_close(gradients[0][:1], gradient, rtol=0, atol=1e-15)
    table = ps4.monitor(outputs, gradients, f)
    for k, (z, g) in enumerate(zip(outputs, gradients, strict=True)):
        its = [z.mean(), z.std(correction=0), *np.percentile(z.detach(), (2, 98))]
        its += [f.saturated(z).double().mean(), g.std(correction=0)]
        torch.testing.assert_close(
            [float(column[k]) for column in table], [float(v) for v in its], rtol=1e-12, atol=1e-15
        )


@pytest.mark.parametrize("name", ["tanh", "softsign"])
def test_expected_share_is_what_gaussian_inputs_give(name):
    """The standard deviation of a share of 0.1 to 0.5, of a million numbers, is 0.0005 at most."""
    s = 1.5 * torch.randn(1_000_000, generator=torch.Generator().manual_seed(0)).double()
    f = activations.get(name)
    measured = ps4.saturated_share(f.function(s), f)
    assert abs(measured - ps4.expected_share({"activation": name, "sigma": 1.5})) < 0.002


# ---- the assignment


@pytest.mark.parametrize("secret", range(30))
def test_the_textbook_case_that_is_shown_is_no_patient_at_any_draw(secret):
    found = patients.diagnosis(sources.draw(SOURCE, f"class {secret}").secret)
    shown = [cell.source for cell in SOURCE.notebook.cells if "patients.textbook(" in cell.source]
    cases = [re.search(r'textbook\(setting, "(.*)", layer=(\d)\)', code) for code in shown]
    cases = [(case[1], int(case[2])) for case in cases if case]
    assert cases and not set(cases) & set(found.values())


@pytest.mark.parametrize("secret", range(6))
def test_who_is_to_be_treated_can_be_told_at_any_draw(secret):
    """By a gradient in layer 1 that is far from the healthy network's: with room on either side."""
    setting, drawn = sources.draw(SOURCE, f"class {secret}")
    found = patients.diagnosis(drawn)
    for name, net in patients._made(setting, drawn).items():
        ratio = abs(math.log(ps4.reach(setting, dict(net.state_dict()))))
        near = found[name][0] in ("healthy", "equal rows")
        assert ratio < math.log(2) if near else ratio > math.log(3), (name, found[name])


@pytest.mark.parametrize("secret", assignment.CLASSES)
def test_solutions_earn_all_points_in_every_class(secret, files):
    files(secret)
    assignment.check_all_points(SOURCE, secret)


def test_blank_earns_nothing_and_says_so(files):
    words = {
        "ps4-monitor-test": "monitor is not written yet.",
        "ps4-patient-a-test": "there is no diagnosis yet: run the cell that defines it.",
        "ps4-cure-test": "there is no treated yet: run the cell that defines it.",
    }
    assignment.check_blank(SOURCE, words)


def test_tests_leave_a_students_names_alone():
    assignment.check_names(SOURCE)


OTHERWISE = {
    "ps4-share": """
import numpy as np
def saturated_share(z, activation):
    z = z.numpy().ravel()
    if activation.name == "relu":
        return np.mean(z <= 0)
    slope = {"sigmoid": 4 * z * (1 - z), "tanh": 1 - z**2, "softsign": (1 - abs(z)) ** 2}
    return np.count_nonzero(slope[activation.name] < 0.19) / z.size
""",
    "ps4-describe": """
def describe(values, percentiles):
    v = values.numpy()
    return [v.mean(), v.std(), np.percentile(v, percentiles)]
""",
    "ps4-record": """
def record(net, x, labels):
    kept, handles = [], []
    def watch(module, given, output):
        output.retain_grad()
        kept.append(output)
    try:
        handles += [module.register_forward_hook(watch) for module in net]
        nn.CrossEntropyLoss()(net(x), labels).backward()
    finally:
        [handle.remove() for handle in handles]
        for parameter in net.parameters():
            parameter.grad = None
    return [z.detach() for z in kept[1::2]], [len(x) * s.grad for s in kept[:-1:2]]
""",
    "ps4-monitor": """
def monitor(outputs, gradients, activation):
    print("debugging " * 1000)
    table = np.empty((6, len(outputs)))
    for k, (z, g) in enumerate(zip(outputs, gradients)):
        table[:2, k] = z.mean(), z.std(correction=0)
        table[2:4, k] = np.percentile(z, (2, 98))
        table[4, k] = saturated_share(z, activation)
        table[5, k] = g.std(correction=0)
    return [torch.from_numpy(column) for column in table]
""",
}
# A module's own hook for gradients is another right way.
BACKWARD_HOOK = """
def record(net, x, labels):
    z, g, handles = [], [], []
    try:
        for module in net[:-1]:
            if isinstance(module, nn.Linear):
                see = lambda m, gin, gout: g.insert(0, gout[0].clone())
                handles.append(module.register_full_backward_hook(see))
            else:
                see = lambda m, given, out: z.append(out.detach().clone())
                handles.append(module.register_forward_hook(see))
        nn.functional.cross_entropy(net(x), labels, reduction="sum").backward()
    finally:
        for handle in handles:
            handle.remove()
        net.zero_grad(set_to_none=True)
    return z, g
"""
# No hooks, and arrays: what it returns and leaves behind is what counts.
WITHOUT_HOOKS = """
def record(net, x, labels):
    z, linear, hidden = x, [], []
    for module in net:
        z = module(z)
        (linear if isinstance(module, nn.Linear) else hidden).append(z)
    cost = nn.functional.cross_entropy(z, labels, reduction="none").sum()
    found = torch.autograd.grad(cost, linear[:-1])
    return tuple(z.detach() for z in hidden), found
"""
# What happens to a copy of one's own does not count.
OF_A_COPY = """
import copy
def record(net, x, labels):
    net, pre, out = copy.deepcopy(net), [], []
    for module in net:
        def watch(module, given, output):
            output.retain_grad()
            (pre if isinstance(module, nn.Linear) else out).append(output)
        module.register_forward_hook(watch)
    nn.functional.cross_entropy(net(x), labels, reduction="sum").backward()
    return [z.detach() for z in out], [s.grad for s in pre[:-1]]
"""


@pytest.mark.filterwarnings("ignore:Full backward hook")
def test_any_correct_way_passes(files):
    found = patients.diagnosis(DRAWN.secret)
    by_hand = {"ps4-diagnosis": f"diagnosis = { {k: list(v) for k, v in found.items()} }"}
    assignment.check_another_way(SOURCE, OTHERWISE | by_hand)
    for answer in (BACKWARD_HOOK, WITHOUT_HOOKS, OF_A_COPY):
        assignment.check_another_way(SOURCE, {"ps4-record": answer})


IS = {found[0]: name for name, found in patients.diagnosis(DRAWN.secret).items()}
ALONE = {  # what does not depend on the notebook's own functions
    "ps4-diagnosis": "diagnosis = " + repr(patients.diagnosis(DRAWN.secret)),
    "ps4-cure": SOLUTIONS["ps4-cure"].replace("table(cured)\n", ""),
    "ps4-gain": SOLUTIONS["ps4-gain"].replace("= [record(", "= [ps4.record("),
}


CODE = [cell.id for cell in sources.drawn(SOURCE).cells if cell.cell_type == "code"]
WARD = [name for name in CODE if re.search("patient|diagnosis|cure|gain|table|textbook", name)]


def only(cell):
    """Return answers that leave the rest out: of the instrument's parts, or of the ward's.

    What the instrument's parts get does not depend on the ward's, which take the time.
    """
    if cell not in WARD:
        return dict.fromkeys(WARD, "")
    return ALONE | {name: "" for name in SOURCE.points if name in CODE and name not in WARD}


MISTAKES = {
    "a bound for z": (
        "ps4-share", "activation.slope(z) < 0.19 * activation.steepest", "z.abs() > 0.9",
        {"ps4-share-test": "the share (softsign)", "ps4-steepest-test": "the share (sigmoid)"},
    ),
    "the steepest slope forgotten": (
        "ps4-share", " * activation.steepest", "", {"ps4-steepest-test": "the share (sigmoid)"},
    ),
    "the steepest slope that is there": (
        "ps4-share", "activation.steepest", "activation.slope(z).max()",
        {"ps4-share-test": "without a unit at its steepest",
         "ps4-steepest-test": "the share (sigmoid)"},
    ),
    "per cent": (
        "ps4-share", "return flat", "return 100 * flat",
        {"ps4-share-test": "100 times", "ps4-steepest-test": "100 times"},
    ),
    "an estimate's standard deviation": (
        "ps4-describe", "correction=0", "correction=1",
        {"ps4-moments-test": "an estimate for other numbers"},
    ),
    "each column's standard deviation": (
        "ps4-describe", "values.std(correction=0)", "values.std(0, correction=0).mean()",
        {"ps4-moments-test": "a mean over columns"},
    ),
    "the root mean square": (
        "ps4-describe", "values.std(correction=0)", "values.square().mean().sqrt()",
        {"ps4-moments-test": "Is the mean taken off"},
    ),
    "two percentiles whatever is asked": (
        "ps4-describe", "torch.tensor(percentiles,", "torch.tensor((2, 98),",
        {"ps4-percentiles-test": "the percentiles"},
    ),
    "percentiles that stop": (
        "ps4-describe", "dtype=values.dtype) / 100", "dtype=values.dtype)",
        {"ps4-percentiles-test": "describe stopped with"},
    ),
    "percentiles as shares": (
        "ps4-describe", "torch.tensor(percentiles, dtype=values.dtype) / 100",
        "torch.tensor(percentiles, dtype=values.dtype).clamp(0, 1)",
        {"ps4-percentiles-test": "the percentiles"},
    ),
    "the mean cost": (
        "ps4-record", 'reduction="sum"', 'reduction="mean"',
        {"ps4-gradients-test": "times too small, and that is the number of examples"},
    ),
    "the last layer, too": (
        "ps4-record", "range(len(outputs))", "range(len(arrived))",
        {"ps4-gradients-test": "the last linear layer is none"},
    ),
    "linear layers for activations": (
        "ps4-record", "                place = len(arrived)",
        "                outputs.append(output.detach())\n                place = len(arrived)",
        {"ps4-outputs-test": "record stopped with", "ps4-gradients-test": "", "ps4-tidy-test": ""},
    ),
    "activations before their function": (
        "ps4-record", "                outputs.append(output.detach())",
        "                outputs.append(inputs[0].detach())", {"ps4-outputs-test": "z of layer"},
    ),
    "hooks that stay": (
        "ps4-record", "            handle.remove()", "            pass",
        {"ps4-tidy-test": "After record, hooks are left"},
    ),
    "hooks that stay after an error": (
        "ps4-record", "    finally:  # whatever happens above\n        for handle in handles:\n"
        "            handle.remove()",
        "    except ZeroDivisionError:\n        pass\n    for handle in handles:\n"
        "        handle.remove()",
        {"ps4-tidy-test": "After an error half-way, hooks are left"},
    ),
    "everybody's hooks taken out": (
        "ps4-record", "            handle.remove()",
        "            [module._forward_hooks.clear() for module in net]",
        {"ps4-tidy-test": "a hook that was there before is gone"},
    ),
    "not detached": (
        "ps4-record", "outputs.append(output.detach())", "outputs.append(output)",
        {"ps4-tidy-test": "holds on to the whole computation"},
    ),
    "gradients with respect to z": (
        "ps4-record", None,
        BACKWARD_HOOK.replace("in net[:-1]", "in net[1:-1]").replace("if isins", "if not isins")
        .replace("            else:\n", "            if not isinstance(module, nn.Linear):\n"),
        {"ps4-gradients-test": "the gradient of layer"},
    ),
    "gradients from the top": (
        "ps4-record", "for k in range(len(outputs))]", "for k in reversed(range(len(outputs)))]",
        {"ps4-gradients-test": "shape"},
    ),
    "nothing is recorded": (
        "ps4-record", None, "def record(net, x, labels):\n    return [], []",
        {"ps4-outputs-test": "", "ps4-gradients-test": "",
         "ps4-tidy-test": "there are no two lists of 3 tensors"},
    ),
    "gradients that stay": (
        "ps4-record", "torch.autograd.grad(cost, list(net.parameters()))", "cost.backward()",
        {"ps4-tidy-test": "have a .grad now"},
    ),
    "columns in another order": (
        "ps4-monitor", "(mean, std, *percentiles, share, size)",
        "(mean, std, *percentiles, size, share)", {"ps4-monitor-test": "gradient's std"},
    ),
    "rows": (
        "ps4-monitor", "dtype=torch.float64).T)", "dtype=torch.float64))",
        {"ps4-monitor-test": "should be 6 things"},
    ),
    "shares for percentiles": (
        "ps4-monitor", "describe(z, (2, 98))", "describe(z, (0.02, 0.98))",
        {"ps4-monitor-test": "percentiles count from 0 to 100"},
    ),
    "the slope for z": (
        "ps4-expected", "expected = ",
        "beyond = math.atanh(0.19) if setting['activation'] == 'tanh' else 0.19 / 0.81\n"
        "expected = ", {"ps4-expected-test": "0.19 is the slope"},
    ),
    "no root": (
        "ps4-expected", "expected = ",
        "beyond = math.atanh(0.81) if setting['activation'] == 'tanh' else 0.81 / 0.19\n"
        "expected = ", {"ps4-expected-test": "is a root missing"},
    ),
    "one side": (
        "ps4-expected", "expected = ", "expected = 0.5 * ",
        {"ps4-expected-test": "That is one side only"},
    ),
    "random numbers": (
        "ps4-expected", "math.erfc(beyond / (setting[\"sigma\"] * math.sqrt(2)))",
        "ps4.expected_share(setting) * (1 + 3e-4)", {"ps4-expected-test": ""},
    ),
    "the healthy one treated": (
        "ps4-cure", None,
        f"import copy\ntreated = {IS['healthy']!r}\ncured = copy.deepcopy(ward[treated])\n"
        "with torch.no_grad():\n    cured[0].bias[0] += 0.1",
        {"ps4-cure-test": "is not one to treat", "ps4-gain-test": "is not one to treat"},
    ),
    "one treated whose gradient is not far": (
        "ps4-cure", None,
        f"import copy\ntreated = {IS['equal rows']!r}\ncured = copy.deepcopy(ward[treated])\n"
        "with torch.no_grad():\n    cured[0].bias[0] += 0.1",
        {"ps4-cure-test": "is not one to treat", "ps4-gain-test": "is not one to treat"},
    ),
    "the patient changed in place": (
        "ps4-cure", "copy.deepcopy(ward[treated])", "ward[treated]",
        {"ps4-gain-test": "Cure a copy"},
    ),
    "a layer of zeros": (
        "ps4-cure", "sick.bias.zero_()", "sick.weight.zero_(), sick.bias.zero_()",
        {"ps4-cure-test": "which is not what a healthy layer has",
         "ps4-gain-test": "no gradient reaches layer 1"},
    ),
    "nothing done": (
        "ps4-cure", "    sick.bias.zero_()", "    pass",
        {"ps4-cure-test": "nothing was done", "ps4-gain-test": "nothing was done"},
    ),
    "half a cure": (
        "ps4-cure", "sick.bias.zero_()", "sick.bias.mul_(0.7)",
        {"ps4-cure-test": "of the activations are saturated"},
    ),
    "a new network": (
        "ps4-cure", "    sick.bias.zero_()",
        '    cured = patients.textbook(setting, "healthy")', {"ps4-cure-test": "were changed"},
    ),
    "other layers changed, too": (
        "ps4-cure", None,
        f"import copy\ntreated = {IS['weights too large']!r}\n"
        "cured = copy.deepcopy(ward[treated])\nwith torch.no_grad():\n"
        "    cured[2 * (diagnosis[treated][1] - 1)].weight /= "
        "patients.LARGE[setting['activation']]\n"
        "    for k in range(6):\n        cured[2 * k].weight *= 0.95",
        {"ps4-cure-test": "another layer than the sick one"},
    ),
    "the top layer for the first": (
        "ps4-gain", "[1][0].std(", "[1][-1].std(", {"ps4-gain-test": "layer 1 is asked for"},
    ),
    "against the healthy one": (
        "ps4-gain", "(ward[treated], cured)", "(patients.textbook(setting, 'healthy'), cured)",
        {"ps4-gain-test": "against the healthy network"},
    ),
    "upside down": (
        "ps4-gain", "sizes[1] / sizes[0]", "sizes[0] / sizes[1]",
        {"ps4-gain-test": "before over after"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_costs_its_own_points_only_and_is_explained(name, files):
    assignment.check_mistake(SOURCE, MISTAKES[name], only(MISTAKES[name][0]))


def test_each_diagnosis_earns_its_own_point(files):
    right = patients.diagnosis(DRAWN.secret)
    said = {
        "a": right["b"], "b": right["b"], "c": ("flu", 2), "d": "healthy", "e": ("healthy", 3),
    }  # fmt: skip
    found = assignment.failed(SOURCE, ALONE | {"ps4-diagnosis": f"diagnosis = {said}"})
    words = {"a": "does not have", "c": "is none of", "d": "two things", "e": "the layer is 0",
             "f": "says nothing of patient 'f'"}  # fmt: skip
    for one, word in words.items():
        assert word in found[f"ps4-patient-{one}-test"]
    assert "ps4-patient-b-test" not in found
    sick = [n for n, (_, layer) in right.items() if layer]
    shifted = right | {n: (right[n][0], right[n][1] % 6 + 1) for n in sick}
    cure = {"ps4-cure": ALONE["ps4-cure"].replace("diagnosis", "right")}
    cure["ps4-cure"] = f"right = {right}\n" + cure["ps4-cure"]
    answers = ALONE | cure | {"ps4-diagnosis": f"diagnosis = {shifted}"}
    found = assignment.failed(SOURCE, answers)
    assert found == {
        f"ps4-patient-{n}-test": f"patient {n}: the condition is right, not the layer."
        for n in sick
    }


def test_every_part_can_be_earned_when_those_before_are_missing(files):
    nothing = {"ps4-share": "", "ps4-describe": "", "ps4-record": "", "ps4-expected": ""}
    found = assignment.failed(SOURCE, ALONE | nothing)
    assert {name.removesuffix("-test") for name in found} == {
        "ps4-share", "ps4-steepest", "ps4-moments", "ps4-percentiles", "ps4-outputs",
        "ps4-gradients", "ps4-tidy", "ps4-expected",
    }  # fmt: skip


CURES = {
    "weights too large": lambda net, k: torch.nn.init.xavier_uniform_(net[2 * (k - 1)].weight),
    "weights too small": lambda net, k: net[2 * (k - 1)].weight.mul_(20),
    "shut by its biases": lambda net, k: net[2 * (k - 1)].reset_parameters(),
    "equal rows": lambda net, k: net[2 * (k - 1)].reset_parameters(),
    "exploding gradient": lambda net, _: [net[2 * k].weight.div_(4.5) for k in range(6)],
}


@pytest.mark.parametrize("secret", assignment.CLASSES)
@pytest.mark.parametrize("condition", CURES)
def test_every_patient_can_be_cured_and_is_not_taken_for_cured_before(condition, secret):
    setting, drawn = sources.draw(SOURCE, secret)
    found = patients.diagnosis(drawn)
    name = next(n for n in found if found[n][0] == condition)
    net = patients._made(setting, drawn)[name]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    unwell = {key: value.clone() for key, value in before.items()}
    unwell[f"{2 * max(found[name][1] - 1, 0)}.bias"][0] += 0.01
    assert ps4.complaint(setting, before, unwell)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        CURES[condition](net, found[name][1])
    assert ps4.complaint(setting, before, dict(net.state_dict())) == ""


def test_published_answers_earn_nothing_in_a_class(files):
    """A diagnosis may be the same by chance: in this class one of six at most is."""
    published = sources.draw(SOURCE)
    answers = {
        "ps4-expected": f"expected = {ps4.expected_share(published.setting)}",
        "ps4-diagnosis": f"diagnosis = {patients.diagnosis(published.secret)}",
    }
    found = assignment.failed(SOURCE, ALONE | answers)
    assert "ps4-expected-test" in found
    right, same = patients.diagnosis(DRAWN.secret), patients.diagnosis(published.secret)
    wrong = {f"ps4-patient-{n}-test" for n in right if right[n] != same[n]}
    assert wrong <= set(found) and len(wrong) >= 5


def test_a_careless_kernel_costs_nothing(files):
    careless = """
net = x = checks = ward = activations = 7
setting["hidden"] = [3]
from course_lib.classroom.references import ps4 as answers
answers.saturated_share = lambda *given: 0
"""
    original = ps4.saturated_share
    try:
        mine = ALONE | {"ps4-share": SOLUTIONS["ps4-share"] + careless}
        found = assignment.failed(SOURCE, mine)
    finally:
        ps4.saturated_share = original
    assert set(found) <= {"ps4-cure-test", "ps4-gain-test"}


@pytest.mark.parametrize(
    ("cell", "code", "word"),
    [
        ("ps4-share", "saturated_share = lambda z, f: f.saturated(z).mean()", ".saturated("),
        ("ps4-record", "from course_lib import instruments", "instruments"),
        ("ps4-monitor", "x = report(net, batch)", "report("),
        ("ps4-diagnosis", "diagnosis = fresh.call(patients.diagnosis, 3)", "fresh.call"),
    ],
)
def test_what_the_library_did_is_flagged(cell, code, word):
    assignment.check_flagged(SOURCE, cell, code, word)


def test_own_work_is_not_flagged():
    assignment.check_own_work(SOURCE, OTHERWISE)
    allowed = {"ps4-diagnosis": "from course_lib import instruments\nreport(ward['a'], batch)"}
    assert sources.flagged(SOURCE, assignment.submission(SOURCE, allowed)) == []


def test_self_study_page_makes_its_own_patients(tmp_path):
    """It has no files: in an empty folder, every cell of the page runs, and all are named."""
    page = sources.self_study(SOURCE.path.read_text(), "ps4")
    cells = jupytext.reads(page, fmt="md:myst").cells
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    code += "\nassert diagnosis == patients.diagnosis(patients.PUBLISHED)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert not list(tmp_path.iterdir())


def test_form_of_an_answer_is_said_in_words():
    for said, words in (
        ([], "should be a dict"),
        ({}, "says nothing of patient 'a'"),
        ({"a": ("healthy",)}, "two things"),
        ({"a": ("equal rows", "3")}, "is a whole number"),
        ({"a": ("equal rows", 2.5)}, "is a whole number"),
        ({"a": (["x"], 2)}, "is none of"),
        ({"a": ("equal rows", 0)}, "and only then"),
    ):
        with pytest.raises(checks.NotYet, match=words):
            ps4.answer_about("a", {"diagnosis": said})
