"""Data sets: the real MNIST where it is at hand, small files in the same format otherwise.

No test leaves this machine: downloads go to a server on 127.0.0.1.
"""

import contextlib
import errno
import gzip
import hashlib
import http.server
import io
import os
import pathlib
import struct
import sys
import tarfile
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from course_lib import datasets

REAL = pathlib.Path(os.environ.get("COURSE_DATA", "/nowhere"))
IMAGES = "train-images-idx3-ubyte.gz"
needs_mnist = pytest.mark.skipif(
    not (REAL / "mnist" / IMAGES).exists(), reason="COURSE_DATA holds no MNIST"
)


# ---- the real MNIST --------------------------------------------------------------------------


@needs_mnist
def test_real_mnist_is_split_as_the_paper_does():
    data = datasets.mnist()
    assert (data.name, data.note, data.shape) == ("MNIST", "", (28, 28))
    parts = (data.train, data.validation, data.test)
    assert [tuple(part.images.shape) for part in parts] == [(50_000, 784), (10_000, 784)] + [
        (10_000, 784)
    ]
    assert all(part.images.dtype == torch.float32 for part in parts)
    assert all(part.labels.dtype == torch.int64 for part in parts)
    # Published class counts of the 60,000 and of the 10,000.
    both = torch.cat([data.train.labels, data.validation.labels])
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert torch.bincount(both).tolist() == counts
    counts = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert torch.bincount(data.test.labels).tolist() == counts
    assert data.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@needs_mnist
def test_real_mnist_has_the_statistics_in_the_docstring():
    images = datasets.mnist().train.images
    assert images.min() == 0 and images.max() == 1
    # Exact data: the tolerance is half of the last digit given.
    assert images.mean().item() == pytest.approx(0.1310, abs=5e-5)
    assert images.std().item() == pytest.approx(0.3085, abs=5e-5)
    assert images.square().mean().item() == pytest.approx(0.1123, abs=5e-5)
    assert (images == 0).float().mean().item() == pytest.approx(0.81, abs=5e-3)


@needs_mnist
def test_one_changed_pixel_in_the_real_mnist_is_found(tmp_path, monkeypatch):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for path in (REAL / "mnist").glob("*.gz"):
        (folder / path.name).write_bytes(path.read_bytes())
    name = "t10k-images-idx3-ubyte.gz"
    content = bytearray(gzip.decompress((folder / name).read_bytes()))
    content[1_000_000] ^= 1
    (folder / name).write_bytes(gzip.compress(bytes(content), 1))
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=f"{name} is not the official file"):
        datasets.mnist()
    assert datasets.mnist(verify=False).name == "MNIST, unverified"


# ---- small files in the format ---------------------------------------------------------------


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def tiny_mnist():
    """Uncompressed files of 9 + 3 training and 2 test images, by their names."""
    rng = np.random.default_rng(0)
    files = {}
    for prefix, n in (("train", 12), ("t10k", 2)):
        pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        files[f"{prefix}-images-idx3-ubyte.gz"] = idx(pixels)
        files[f"{prefix}-labels-idx1-ubyte.gz"] = idx(np.arange(n, dtype=np.uint8) % 10)
    return files


def tiny_cifar10():
    """Six files of 2 records each; the label of record r of file f is (2 f + r) % 10."""
    rng = np.random.default_rng(1)
    files = {}
    for f, name in enumerate(datasets.CIFAR10_SHA256):
        records = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
        records[:, 0] = [(2 * f) % 10, (2 * f + 1) % 10]
        files[name] = records.tobytes()
    return files


def archive(files, prefix=datasets.CIFAR10_FOLDER):
    """A .tar.gz with `files` and two that nobody must unpack."""
    out = io.BytesIO()
    extra = {f"{prefix}/../../outside.bin": b"no", f"{prefix}/readme.html": b"no"}
    members = {f"{prefix}/{name}": content for name, content in files.items()} | extra
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty COURSE_DATA, with the registry describing the tiny files and no mirror."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "COUNTS", {"mnist": (9, 3, 2), "cifar10": (8, 2, 2)})
    cifar10 = tiny_cifar10()
    registry = {name: datasets.Remote(sha256(c), ()) for name, c in tiny_mnist().items()}
    registry[datasets.CIFAR10_ARCHIVE] = datasets.Remote(sha256(archive(cifar10)), ())
    monkeypatch.setattr(datasets, "REGISTRY", registry)
    monkeypatch.setattr(datasets, "CIFAR10_SHA256", {n: sha256(c) for n, c in cifar10.items()})
    return tmp_path


def write_mnist(folder):
    (folder / "mnist").mkdir()
    for name, content in tiny_mnist().items():
        (folder / "mnist" / name).write_bytes(gzip.compress(content))


def write_cifar10(folder):
    goal = folder / "cifar10" / datasets.CIFAR10_FOLDER
    goal.mkdir(parents=True)
    for name, content in tiny_cifar10().items():
        (goal / name).write_bytes(content)
    return goal


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_mnist_reads_every_pixel_and_label_where_it_belongs(folder):
    write_mnist(folder)
    data = datasets.mnist()
    pixels = np.frombuffer(tiny_mnist()[IMAGES], np.uint8, offset=16).reshape(12, 784)
    # Oracle: the bytes over 255 in float64; float32 rounds by at most 2^-25.
    images = torch.cat([data.train.images, data.validation.images]).double().numpy()
    np.testing.assert_allclose(images, pixels / 255, atol=2.0**-25, rtol=0)
    assert data.train.labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert data.validation.labels.tolist() == [9, 0, 1]
    assert data.test.labels.tolist() == [0, 1]
    images, labels = data.test  # a split unpacks as a pair
    assert images.shape == (2, 784) and labels.shape == (2,)


def test_cifar10_reads_every_pixel_and_label_where_it_belongs(folder):
    write_cifar10(folder)
    data = datasets.cifar10()
    assert (data.name, data.note, data.shape) == ("CIFAR-10", "", (3, 32, 32))
    assert len(data.classes) == 10 and data.classes[3] == "cat"
    files = list(tiny_cifar10().values())
    for part, contents in ((data.train, files[:4]), (data.validation, files[4:5])) + (
        (data.test, files[5:]),
    ):
        records = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 3073)
        images = part.images.double().numpy()
        np.testing.assert_allclose(images, records[:, 1:] / 255, atol=2.0**-25, rtol=0)
        assert part.labels.tolist() == records[:, 0].tolist()


def test_cifar10_with_other_bytes_is_refused_or_labelled(folder):
    goal = write_cifar10(folder)
    path = goal / "data_batch_2.bin"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_2.bin is not the official file"):
        datasets.cifar10()
    data = datasets.cifar10(verify=False)
    assert "re-encoded" in data.name and "re-encoded" in data.note


def test_a_printed_data_set_does_not_spill_its_tensors(folder):
    write_mnist(folder)
    assert "tensor" not in repr(datasets.mnist()) and "MNIST" in repr(datasets.mnist())


def damaged(kind, content):
    compressed = gzip.compress(content)
    return {
        "compressed data cut": compressed[: len(compressed) // 2],
        "content cut": gzip.compress(content[:-1]),
        "one byte too many": gzip.compress(content + b"\0"),
        "bits flipped": compressed[:200] + bytes([compressed[200] ^ 255]) + compressed[201:],
        "empty": b"",
        "a web page": b"<html>403 Forbidden</html>",
    }[kind]


@pytest.mark.parametrize(
    "kind, message",
    [
        ("compressed data cut", "is truncated"),
        ("content cut", "is truncated"),
        ("one byte too many", "is too long"),
        ("bits flipped", "is damaged"),
        ("empty", "is not an IDX file"),
        ("a web page", "is not an IDX file"),
    ],
)
@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_idx_file_is_one_clear_error(folder, kind, message, verify):
    write_mnist(folder)
    path = folder / "mnist" / IMAGES
    path.write_bytes(damaged(kind, tiny_mnist()[IMAGES]))
    with pytest.raises(ValueError, match=message) as error:
        datasets.mnist(verify=verify)
    assert str(path) in str(error.value) and "Delete it" in str(error.value)


def test_files_that_do_not_belong_together_are_refused(folder):
    write_mnist(folder)
    labels = idx(np.zeros(5, np.uint8))
    (folder / "mnist" / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    with pytest.raises(ValueError, match=r"labels \(5,\)"):
        datasets.mnist(verify=False)


@pytest.mark.parametrize("verify", [True, False])
def test_a_truncated_cifar10_file_is_one_clear_error(folder, verify):
    path = write_cifar10(folder) / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match="is truncated: 6,139 bytes, CIFAR-10 has 6,146"):
        datasets.cifar10(verify=verify)


def test_an_impossible_cifar10_label_is_refused(folder):
    path = write_cifar10(folder) / "test_batch.bin"
    path.write_bytes(b"\x0b" + path.read_bytes()[1:])
    with pytest.raises(ValueError, match="has label 11"):
        datasets.cifar10(verify=False)


def test_the_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert datasets.data_folder() == tmp_path
    monkeypatch.setenv("COURSE_DATA", "")
    assert datasets.data_folder().name == "hard-to-train"
    monkeypatch.setenv("COURSE_DATA", "~/here")
    assert datasets.data_folder() == pathlib.Path.home() / "here"


def test_the_registry_is_complete():
    assert len(datasets.REGISTRY) == 5 and len(datasets.CIFAR10_SHA256) == 6
    for remote in datasets.REGISTRY.values():
        assert len({url.split("/")[2] for url in remote.urls}) >= 2, "more than one mirror"
    sums = [remote.sha256 for remote in datasets.REGISTRY.values()]
    for digest in sums + list(datasets.CIFAR10_SHA256.values()):
        assert len(digest) == 64 and set(digest) <= set("0123456789abcdef")


# ---- downloads -------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Answers /good/NAME with `files[NAME]`, /wrong/NAME and /cut/NAME with less good things."""

    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, how, name = self.path.split("/")
        self.server.asked.append((how, name))
        content = self.server.files[name]
        if how == "gone":
            return self.send_error(404)
        if how == "wrong":
            content = content[:-40] + bytes(40)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if how == "cut" else content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(folder, monkeypatch):
    """A local mirror; `server.mirrors("gone", "good")` makes those the hosts of every file."""
    pytest.importorskip("pooch")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        server.files = {name: gzip.compress(c) for name, c in tiny_mnist().items()}
        # gzip puts the time into its header: the archive is made once.
        tar = archive(tiny_cifar10())
        server.files[datasets.CIFAR10_ARCHIVE] = tar

        def mirrors(*kinds, port=server.server_address[1]):
            for name, remote in list(datasets.REGISTRY.items()):
                digest = sha256(tar) if name == datasets.CIFAR10_ARCHIVE else remote.sha256
                urls = tuple(f"http://127.0.0.1:{port}/{kind}/{name}" for kind in kinds)
                datasets.REGISTRY[name] = datasets.Remote(digest, urls)

        server.mirrors = mirrors
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


LOADERS = {"mnist": datasets.mnist, "cifar10": datasets.cifar10}


@pytest.mark.parametrize("name", LOADERS)
def test_missing_files_are_downloaded_once(server, folder, name, capsys):
    server.mirrors("good")
    first = LOADERS[name]()
    asked = list(server.asked)
    assert len(asked) == {"mnist": 4, "cifar10": 1}[name]
    assert "%|" in capsys.readouterr().err  # a progress bar
    second = LOADERS[name]()
    assert server.asked == asked
    assert torch.equal(first.train.images, second.train.images)
    expected = datasets.CIFAR10_SHA256 if name == "cifar10" else tiny_mnist()
    assert files_in(folder) == sorted(expected)  # no archive, no readme, nothing outside


def test_only_what_is_missing_is_downloaded(server, folder):
    server.mirrors("good")
    write_mnist(folder)
    (folder / "mnist" / IMAGES).unlink()
    datasets.mnist()
    assert server.asked == [("good", IMAGES)]


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize("first", ["gone", "wrong", "cut"])
def test_the_second_mirror_serves_when_the_first_fails(server, folder, name, first):
    server.mirrors(first, "good")
    LOADERS[name]()
    assert {how for how, _ in server.asked} == {first, "good"}


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    "kind, error, message",
    [
        ("gone", ConnectionError, "the server answers 404"),
        ("wrong", ValueError, "damaged|not the official archive"),
        ("cut", ConnectionError, "the transfer broke off"),
    ],
)
def test_a_failed_download_is_one_clear_error(server, folder, name, kind, error, message):
    server.mirrors(kind, kind)
    with pytest.raises(error, match=message) as caught:
        LOADERS[name]()
    wanted = {"mnist": IMAGES, "cifar10": datasets.CIFAR10_ARCHIVE}[name]
    assert str(folder / name / wanted) in str(caught.value), "says where to put the file"
    assert files_in(folder) == []


def test_a_download_with_another_content_is_refused(server, folder):
    # A valid gzip file of a valid IDX file: only the checksum can tell.
    other = bytearray(tiny_mnist()[IMAGES])
    other[100] ^= 1
    server.files[IMAGES] = gzip.compress(bytes(other))
    server.mirrors("good")
    with pytest.raises(ValueError, match="not the official file"):
        datasets.mnist()
    assert files_in(folder) == []


def test_a_failure_half_way_leaves_nothing(server, folder):
    del server.files["t10k-labels-idx1-ubyte.gz"]  # the handler fails and closes the connection
    server.handle_error = lambda *args: None
    server.mirrors("good")
    with pytest.raises(ConnectionError):
        datasets.mnist()
    assert len(server.asked) == 4 and files_in(folder) == []


def test_an_interrupted_download_leaves_nothing(server, folder, monkeypatch):
    def interrupted(self, url, file, pooch):
        file.write(b"some bytes")
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["pooch"].HTTPDownloader, "__call__", interrupted)
    server.mirrors("good")
    with pytest.raises(KeyboardInterrupt):
        datasets.mnist()
    assert files_in(folder) == []


@pytest.mark.parametrize("name", LOADERS)
def test_no_server_at_all(server, folder, name):
    server.mirrors("good", port=9)  # nothing listens on the discard port
    with pytest.raises(ConnectionError, match="no connection; is this machine online?"):
        LOADERS[name]()
    assert files_in(folder) == []


class FullDisk:
    """A file on a disk with room for 10 bytes."""

    def __init__(self, file):
        self.file, self.left = file, 10

    def write(self, data):
        self.left -= len(data)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def flush(self):
        self.file.flush()


@pytest.mark.parametrize("name", LOADERS)
def test_a_full_disk_is_one_clear_error(server, folder, name, monkeypatch):
    @contextlib.contextmanager
    def open_on_a_full_disk(path, mode):
        with open(path, mode) as file:
            yield FullDisk(file) if "w" in mode else file

    monkeypatch.setattr(datasets, "open", open_on_a_full_disk, raising=False)
    server.mirrors("good")
    with pytest.raises(OSError, match="The disk is full.*set COURSE_DATA") as caught:
        LOADERS[name]()
    assert caught.value.errno == errno.ENOSPC and str(folder / name) in str(caught.value)
    assert files_in(folder) == []


@pytest.mark.parametrize("name", LOADERS)
def test_a_folder_without_write_permission(server, folder, name, monkeypatch):
    # Simulated, since tests may run as root, whom no permission stops.
    def refuse(*args, dir, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(dir))

    monkeypatch.setattr(datasets.tempfile, "TemporaryDirectory", refuse)
    server.mirrors("good")
    with pytest.raises(PermissionError, match="You may not write there: set COURSE_DATA") as caught:
        LOADERS[name]()
    assert str(folder / name) in str(caught.value)
    assert server.asked == [] and files_in(folder) == []


def test_a_file_in_the_place_of_the_folder(server, folder):
    (folder / "mnist").write_bytes(b"")
    with pytest.raises(OSError, match="cannot write .*mnist.*set COURSE_DATA"):
        datasets.mnist()


@pytest.mark.parametrize("name", LOADERS)
def test_without_pooch_the_error_gives_the_pip_line(folder, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r'pip install "hard-to-train\[data\]"') as caught:
        LOADERS[name]()
    assert str(folder / name) in str(caught.value) and files_in(folder) == []


def test_data_at_hand_need_no_pooch(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    write_mnist(folder)
    assert datasets.mnist().name == "MNIST"


def test_an_archive_saved_by_hand_is_used(folder):
    tar = archive(tiny_cifar10())
    datasets.REGISTRY[datasets.CIFAR10_ARCHIVE] = datasets.Remote(sha256(tar), ())
    (folder / "cifar10").mkdir()
    (folder / "cifar10" / datasets.CIFAR10_ARCHIVE).write_bytes(tar)
    assert datasets.cifar10().train.images.shape == (8, 3072)
    assert not (folder / "outside.bin").exists()


def test_an_archive_with_a_wrong_checksum_is_never_opened(folder, monkeypatch):
    def opened(*args, **kwargs):
        raise AssertionError("opened before it was checked")

    (folder / "cifar10").mkdir()
    path = folder / "cifar10" / datasets.CIFAR10_ARCHIVE
    path.write_bytes(archive(tiny_cifar10())[:-20])
    monkeypatch.setattr(datasets.tarfile, "open", opened)
    for verify in (True, False):
        with pytest.raises(ValueError, match="truncated or not the official archive") as caught:
            datasets.cifar10(verify=verify)
        assert str(path) in str(caught.value)
    assert files_in(folder) == [datasets.CIFAR10_ARCHIVE]


# ---- Small-ImageNet --------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """Two classes of fish, one of birds: grey pictures whose brightness tells the class."""
    for name, brightness in (("n01440764", 51), ("goldfish", 102), ("birds", 204)):
        inner = tmp_path / name / "images"
        inner.mkdir(parents=True)
        for k in range(6):
            picture = Image.new("RGB", (60 + k, 90), (brightness,) * 3)
            picture.save(inner / f"{k}.JPEG", quality=95)
    return tmp_path


GROUPS = {"fish": ["n01440764", "goldfish"], "birds": []}


def test_small_imagenet_is_balanced_and_grey(tree):
    data = datasets.small_imagenet(tree, groups=GROUPS, per_class=(3, 2, 1))
    assert data.classes == ("fish", "birds") and data.shape == (37, 37)
    for part, n in ((data.train, 3), (data.validation, 2), (data.test, 1)):
        assert part.images.shape == (2 * n, 37 * 37) and part.images.dtype == torch.float32
        assert torch.bincount(part.labels).tolist() == [n, n]
        # A flat picture survives JPEG, grey and resizing within one grey level.
        birds = part.images[part.labels == 1]
        assert (birds - 0.8).abs().max() <= 1 / 255 + 1e-6
        fish = part.images[part.labels == 0].mean(1)
        nearest = torch.minimum((fish - 0.2).abs(), (fish - 0.4).abs())
        assert nearest.max() <= 1 / 255 + 1e-6


def test_small_imagenet_repeats_by_its_seed(tree):
    settings = {"groups": GROUPS, "per_class": (4, 1, 1)}
    one, same = (datasets.small_imagenet(tree, seed=3, **settings) for _ in range(2))
    other = datasets.small_imagenet(tree, seed=4, **settings)
    assert torch.equal(one.train.images, same.train.images)
    assert not torch.equal(one.train.images, other.train.images)


def test_small_imagenet_draws_no_picture_twice(tmp_path):
    for group in ("a", "b"):
        (tmp_path / group).mkdir()
        for k in range(10):
            level = k * 20 + (10 if group == "b" else 0)
            Image.new("L", (37, 37), level).save(tmp_path / group / f"{k}.png")
    data = datasets.small_imagenet(tmp_path, groups={"a": "", "b": ""}, per_class=(6, 3, 1))
    parts = (data.train, data.validation, data.test)
    levels = torch.cat([part.images[:, 0] for part in parts]) * 255
    assert sorted(levels.round().int().tolist()) == list(range(0, 200, 10))


def test_the_centre_of_a_picture_is_taken(tmp_path):
    for group in ("a", "b"):
        (tmp_path / group).mkdir()
        picture = Image.new("L", (148, 74), 0)
        picture.paste(255, (37, 0, 111, 74))  # the central square
        for k in range(3):
            picture.save(tmp_path / group / f"{k}.png")
    data = datasets.small_imagenet(tmp_path, groups={"a": "", "b": ""}, per_class=(1, 1, 1))
    assert torch.equal(data.test.images, torch.ones(2, 37 * 37))


def test_too_few_pictures_say_what_would_be_enough(tree):
    with pytest.raises(ValueError) as caught:
        datasets.small_imagenet(tree, groups=GROUPS, per_class=(60, 10, 10))
    message = str(caught.value)
    assert "fish (12), birds (6): 80 a group are needed" in message
    assert "per_class=(4, 1, 1)" in message
    datasets.small_imagenet(tree, groups=GROUPS, per_class=(4, 1, 1))  # the advice works
    with pytest.raises(ValueError, match=r"reptiles \(0\).*11,000 a group"):
        datasets.small_imagenet(tree)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"per_class": (1, 1)}, "three positive whole numbers"),
        ({"per_class": (1, -1, 1)}, "three positive whole numbers"),
        ({"groups": {"birds": []}}, "at least 2 groups"),
        ({"groups": {"fish": ["birds"], "birds": []}}, "in two groups"),
    ],
)
def test_small_imagenet_refuses_bad_settings(tree, changed, message):
    with pytest.raises(ValueError, match=message):
        datasets.small_imagenet(tree, **({"groups": GROUPS, "per_class": (1, 1, 1)} | changed))


def test_small_imagenet_names_a_picture_it_cannot_read(tree):
    for path in (tree / "birds").rglob("*.JPEG"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"birds.*\.JPEG cannot be read as a picture"):
        datasets.small_imagenet(tree, groups=GROUPS, per_class=(2, 2, 2))
    with pytest.raises(ValueError, match="is not a folder"):
        datasets.small_imagenet(tree / "nowhere")


def test_the_default_groups_are_the_papers_ten():
    groups = datasets.SMALL_IMAGENET_GROUPS
    assert list(groups) == (
        "reptiles vehicles birds mammals fish furniture instruments tools flowers fruits".split()
    )
    numbers = [number for classes in groups.values() for number in classes.split()]
    assert len(numbers) == len(set(numbers))
    assert all(len(n) == 9 and n[0] == "n" and n[1:].isdigit() for n in numbers)
