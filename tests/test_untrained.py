"""Networks before training: the signal and the Jacobians, against autograd and single examples."""

import numpy as np
import pytest
import torch

from course_lib import backprop, instruments, models, results, shapeset, untrained
from course_lib import jacobian as jacobians

SMALL = untrained.Networks(width=20, networks=3, depth=2, inputs=4)


@pytest.fixture(scope="module")
def signals():
    return untrained.signal_at_initialisation(SMALL, progress=False)


def softsign(seed, scheme):
    sizes = [1024, 20, 20, 9]
    return models.MLP(sizes, "softsign", scheme=scheme, seed=seed)


def test_the_signal_has_the_axes_it_names(signals):
    for name, array in signals.arrays.items():
        axes = signals.axes[name]
        assert array.shape == tuple(300 if a == "input" else len(signals[a]) for a in axes), name
    assert signals["activation"].tolist() == ["tanh", "softsign", "sigmoid"]
    assert signals["matrix"].tolist() == [0, 1, 2] and signals["layer"].tolist() == [1, 2]


def test_networks_can_be_counted_from_another_number(signals):
    one = untrained.Networks(width=20, networks=1, depth=2, inputs=4)
    third = untrained.signal_at_initialisation(one, progress=False, first=2)
    assert third["network"].tolist() == [2] and third.config["first"] == 2
    for name in untrained.SIGNAL_AXES:
        assert np.array_equal(third[name][:, :, 0], signals[name][:, :, 2]), name


def test_the_signal_is_that_of_the_networks_named(signals):
    images, labels = shapeset.sample(300, untrained.EXAMPLES_SEED)
    recorded = ("activation_mean", "activation_std", "back_propagated_std", "weight_gradient_std")
    for s, scheme in enumerate(signals["scheme"]):
        measured = instruments.measure(softsign(2, str(scheme)), images, labels, recorded)
        for name in recorded:
            assert np.allclose(signals[name][1, s, 2], measured[name][0], rtol=1e-5, atol=1e-8)


def test_the_squares_of_the_signal_are_those_of_single_examples(signals):
    """Each example's gradients by autograd on its own cost, without the outer-product short cut."""
    images, labels = shapeset.sample(300, untrained.EXAMPLES_SEED)
    model = softsign(1, "normalized")
    own = np.zeros((300, 3))
    for x, label, row in zip(images, labels, own, strict=True):
        weights = [w[0].clone().requires_grad_() for w in model.weights]
        z = x
        for w in weights[:-1]:
            z = torch.nn.functional.softsign(z @ w)
        cost = torch.nn.functional.cross_entropy(z @ weights[-1], label)
        row[:] = [g.square().mean() for g in torch.autograd.grad(cost, weights)]
    at = (1, 1, 1)
    assert np.allclose(signals["weight_gradient_square"][at], own.mean(0), rtol=1e-4)
    trace = model(images)
    delta = backprop.gradients(model, trace, labels).pre_activations
    squares = [float(d.double().square().mean()) for d in delta]
    assert np.allclose(signals["back_propagated_square"][at], squares, rtol=1e-5)
    top = delta[-1][0].double().square().mean(-1).numpy()
    assert np.allclose(signals["top_square"][at], top, rtol=1e-3, atol=1e-4)
    assert np.allclose(signals["input_square"], (images.double() ** 2).mean(1))
    z2 = trace.activations[2].double().square().mean()
    assert np.isclose(signals["activation_square"][at][1], float(z2), rtol=1e-5)


def test_jacobians_at_initialisation_against_autograd():
    found = untrained.jacobian_at_initialisation(SMALL, progress=False)
    images, _ = shapeset.sample(300, untrained.EXAMPLES_SEED)
    model = softsign(2, "standard")
    trace = model(images)
    for i in (0, 1):

        def layer(z, w=model.weights[i][0]):
            return torch.nn.functional.softsign(z @ w)

        for x in (0, 3):
            j = torch.autograd.functional.jacobian(
                layer, trace.activations[i].expand(1, -1, -1)[0, x]
            )
            values = torch.linalg.svdvals(j.double()).numpy()
            expected = values.mean(), np.sqrt((values**2).mean()), np.exp(np.log(values).mean())
            for name, value in zip(("mean", "rms", "geometric_mean"), expected, strict=True):
                assert np.isclose(found[name][1, 0, 2, i, x], value, rtol=1e-4), name
    below, above = (trace.activations[i].double().var(correction=0) for i in (1, 2))
    assert np.isclose(found["variance_ratio"][1, 0, 2, 1], float(above / below), rtol=1e-5)
    # Over all images the rms is exact; the mean is an estimate, tested with `jacobian`.
    slope = model.activation.slope(trace.activations[2])[0].double()
    rms = (slope.square() @ model.weights[1][0].double().square().sum(0) / 20).sqrt().mean()
    assert np.isclose(found["all_rms"][1, 0, 2, 1], float(rms), rtol=1e-5)
    assert (found["all_standard_error"] < 1e-3 * found["all_mean"]).all()
    tanh = found["spectrum"][:, :, :20].mean(-1), found["mean"][0, :, 0, :, 0]
    assert np.allclose(*tanh, rtol=1e-4)
    first, second = (
        w[0].double() for w in models.MLP([1024, 20, 20, 9], "tanh", seed=0).weights[:2]
    )
    through = torch.autograd.functional.jacobian(
        lambda x: torch.tanh(torch.tanh(x @ first) @ second), images[0].double()
    )
    product = found["product_spectrum"][1, 1, :20]
    assert np.allclose(product, torch.linalg.svdvals(through), rtol=1e-4)
    assert np.allclose(found["product_spectrum"][:, 0], found["spectrum"][:, 0])
    assert found["input_square"].shape == (4,)


def test_networks_that_were_measured_are_kept(signals, tmp_path, monkeypatch):
    """The third network fails; the call that follows measures that one only."""
    signal, calls = untrained.signal, []

    def failing(model, images, labels):
        calls.append(model.seeds[0])
        if calls.count(2) == 1:
            raise KeyboardInterrupt
        return signal(model, images, labels)

    monkeypatch.setattr(untrained, "signal", failing)
    path = tmp_path / "c.npz"
    with pytest.raises(KeyboardInterrupt, match="goes on after the last"):
        untrained.signal_at_initialisation(SMALL, checkpoint=path, progress=False)
    found = untrained.signal_at_initialisation(SMALL, checkpoint=path, progress=False)
    assert calls == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
    assert all(np.array_equal(found[name], signals[name]) for name in signals.arrays)
    untrained.tidy(path)
    assert not list(tmp_path.iterdir())


def test_files_of_another_measurement_are_not_taken_for_its_own(tmp_path):
    one = dict(checkpoint=tmp_path / "c.npz", progress=False)
    assert "all_mean" not in untrained.signal_at_initialisation(SMALL, **one).arrays
    assert "all_mean" in untrained.jacobian_at_initialisation(SMALL, **one).arrays


# ---- what is shipped
def test_the_present_code_makes_the_shipped_signal():
    """One network: sums of 1,000 float32 products may differ by 1e-5 on another processor.

    So may a float16 by its last digit, 1e-3; another network is off by 1e-2 in everything.
    """
    shipped = results.load("signal_at_initialisation")
    images, labels = shapeset.sample(untrained.EXAMPLES, untrained.EXAMPLES_SEED)
    model = models.MLP([1024, *5 * [1000], 9], "sigmoid", scheme="normalized", seed=7)
    for name, value in untrained.signal(model, images, labels).items():
        kept = shipped[name][2, 1, 7]
        assert np.allclose(value[0], kept, rtol=2e-3, atol=0), name
        assert not np.allclose(value[0], shipped[name][2, 1, 8], rtol=2e-3, atol=0), name


def test_the_present_code_makes_the_shipped_jacobians():
    shipped = results.load("jacobian_at_initialisation")
    images, _ = shapeset.sample(untrained.EXAMPLES, untrained.EXAMPLES_SEED)
    model = models.MLP([1024, *5 * [1000], 9], "tanh", scheme="normalized", seed=7)
    trace, i = model(images), 2
    weight, slope = model.weights[i][0], jacobians.slopes(model, trace, i)[0]
    mean = jacobians.singular_values(weight, slope[:2]).mean(1)
    kept = shipped["mean"][0, 1]
    assert np.allclose(kept[7, i, :2], mean, rtol=1e-5)
    assert not np.allclose(kept[8, i, :2], mean, rtol=1e-4), "another network would not pass"
    all_rms = float(jacobians.root_mean_square(weight, slope).mean())
    assert np.isclose(shipped["all_rms"][0, 1, 7, i], all_rms, rtol=1e-5)
    all_mean = jacobians.mean_singular_value(weight, slope).value
    assert np.isclose(shipped["all_mean"][0, 1, 7, i], all_mean, rtol=1e-3)  # twice its error
    assert (shipped["all_standard_error"] <= 5e-4 * shipped["all_mean"]).all()
