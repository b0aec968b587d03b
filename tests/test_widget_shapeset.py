"""Shapeset-3x2 in JavaScript against course_lib.shapeset: random numbers, parameters and pixels."""

import base64
import importlib.util

import numpy as np
import pytest

if not importlib.util.find_spec("playwright"):
    pytest.skip("browser checks left out: playwright is not installed", allow_module_level=True)

import browser  # noqa: E402  (tests/browser.py)

from course_lib import shapeset  # noqa: E402

if not browser.CHROMIUM:
    pytest.skip("browser checks left out: no Chromium on this machine", allow_module_level=True)

# A typed array as text: numbers by the million would take long as JSON.
BYTES = """const shapes = makeShapeset();
function bytes(array) {
  const view = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let i = 0; i < view.length; i += 8192) {
    text += String.fromCharCode(...view.subarray(i, i + 8192));
  }
  return btoa(text);
}"""


@pytest.fixture(scope="module")
def page():
    with browser.chromium() as started, browser.numerics(started, "core", "shapeset") as opened:
        opened.add_script_tag(content=BYTES)
        yield opened


def array(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**50 + 17])
@pytest.mark.parametrize("key", [(), (0,), (3,), (2**33,)])
def test_random_numbers_are_those_of_numpy(page, seed, key):
    """To the last bit; an odd number of integers leaves half a draw for the next ones."""
    found = page.evaluate(
        """([seed, key]) => {
          const g = new shapes.Generator(seed, key);
          return [g.randoms(3), g.integers(0, 3, 7), g.randoms(2), g.integers(140, 256, 500),
            g.randoms(1)].map((values) => Array.from(values));
        }""",
        [seed, list(key)],
    )
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    expected = [rng.random(3), rng.integers(0, 3, 7), rng.random(2), rng.integers(140, 256, 500)]
    for own, theirs in zip(found, [*expected, rng.random(1)], strict=True):
        assert np.array_equal(own, theirs)


def test_a_range_that_rejects_draws_is_unbiased_as_in_numpy(page):
    """With 3 * 2^30 values one draw in four is rejected: the loop is entered."""
    found = page.evaluate("() => Array.from(new shapes.Generator(4).integers(0, 3 * 2**29, 2000))")
    assert np.array_equal(found, np.random.default_rng(4).integers(0, 3 * 2**29, 2000))


@pytest.mark.parametrize(("n", "seed"), [(2_000, 7), (1, 0), (333, 2**40)])
def test_parameters_are_those_of_python(page, n, seed):
    found = page.evaluate(
        """([n, seed]) => Object.fromEntries(Object.entries(shapes.parameters(n, seed))
          .filter(([, value]) => value.buffer).map(([key, value]) => [key, bytes(value)]))""",
        [n, seed],
    )
    expected = shapeset.parameters(n, seed)
    for key, dtype in (("kinds", "i1"), ("labels", "u1"), ("greys", "u1"), ("corners", "f4")):
        own = getattr(expected, key).numpy()
        values = array(found[key], dtype).reshape(own.shape)
        if key == "corners":  # of objects that are there; a sine may differ in its last bit
            there = expected.kinds.numpy() >= 0
            assert abs(values[there] - own[there]).max() <= 4e-6
        else:
            assert np.array_equal(values, own), key
    there = expected.kinds.numpy() >= 0
    for key in ("centres", "scales", "turns"):
        own = getattr(expected, key).numpy()
        values = array(found[key], "f8").reshape(own.shape)
        assert np.allclose(values[there], own[there], rtol=0, atol=1e-12), key


def test_images_are_those_of_python(page):
    """All of them, to the last pixel and bit: 3,000 images."""
    images, labels = page.evaluate(
        "() => Object.values(shapes.sample(3000, 7)).map((values) => bytes(values))"
    )
    expected, classes = shapeset.sample(3_000, seed=7)
    assert np.array_equal(array(images, "f4").reshape(3_000, -1), expected.numpy())
    assert np.array_equal(array(labels, "u1"), classes.numpy())


@pytest.mark.parametrize(
    ("size", "seed", "batches"), [(10, 3, (0, 99, 100, 12_345)), (7, 0, (142,))]
)
def test_a_stream_is_that_of_python(page, size, seed, batches):
    """Also across the end of a block of 1,000, and back again."""
    stream = shapeset.Stream(size, seed)
    for k in (*batches, batches[0]):
        images, labels = page.evaluate(
            """([size, seed, k]) => {
              window.streams ||= {};
              const stream = window.streams[`${size} ${seed}`] ||= shapes.stream(size, seed);
              return Object.values(stream.batch(k)).map((values) => bytes(values));
            }""",
            [size, seed, k],
        )
        expected, classes = stream.batch(k)
        assert np.array_equal(array(images, "f4").reshape(size, -1), expected.numpy()), k
        assert np.array_equal(array(labels, "u1"), classes.numpy()), k


def test_classes_and_kinds_are_named_alike(page):
    names = page.evaluate("() => [shapes.CLASSES, shapes.KINDS, shapes.FRAME]")
    assert names == [list(shapeset.CLASSES), list(shapeset.KINDS), shapeset.FRAME]
