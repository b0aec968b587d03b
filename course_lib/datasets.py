"""MNIST, CIFAR-10 and Small-ImageNet, with the splits of Glorot & Bengio (2010), section 2.

Files are looked for in the folder that the environment variable ``COURSE_DATA`` names (see
`data_folder`), downloaded where they are missing, and compared with published checksums. This is
the only module that touches the network, and it never unpickles.

**Pixels are bytes divided by 255, in [0, 1], in all three sets.** The paper does not give its
scaling. This one keeps the files' own zero: the background of a digit, 81 % of MNIST's pixels, is
0 and sends nothing into the first layer. For values in [-1, 1], as Shapeset's, take 2 x - 1.
"""

import contextlib
import errno
import gzip
import hashlib
import importlib
import os
import pathlib
import sys
import tarfile
import tempfile
import zlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from tqdm import tqdm


class Split(NamedTuple):
    """Images (n, d), float32 in [0, 1], and labels (n,), int64; unpacks as a pair."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, eq=False)
class Dataset:
    """One data set in three parts. `name` is what a plot or a table must call it.

    `shape` is that of one image, ``images[0].reshape(shape)``: (height, width), or (channels,
    height, width). `classes` names label 0, 1, ... `note` is empty for verified official data.
    """

    name: str
    train: Split = field(repr=False)
    validation: Split = field(repr=False)
    test: Split = field(repr=False)
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    note: str = ""


class Remote(NamedTuple):
    """A file to download: SHA-256 (of a .gz file: of what is inside it) and its mirrors."""

    sha256: str
    urls: tuple[str, ...]


# The original host has refused most requests since 2024 (403), so it comes last.
_MNIST_HOSTS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_MNIST_SHA256 = {  # of the content, unzipped
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
_MNIST_FILES = tuple(f"{name}.gz" for name in _MNIST_SHA256)
CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
REGISTRY = {
    f"{name}.gz": Remote(sha256, tuple(f"{host}{name}.gz" for host in _MNIST_HOSTS))
    for name, sha256 in _MNIST_SHA256.items()
} | {
    CIFAR10_ARCHIVE: Remote(
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        (
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/"
            "cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
            "cifar-10-binary.tar.gz",
        ),
    )
}
# The members of the archive, for a folder that already holds them unpacked.
CIFAR10_SHA256 = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())

# Images in the training, validation and test parts.
COUNTS = {
    "mnist": (50_000, 10_000, 10_000),
    "cifar10": (40_000, 10_000, 10_000),
    "cifar10_reencoded": (40_000, 10_000, 10_000),
}

# What a plot or a table calls each data set.
TITLES = {
    "shapeset": "Shapeset-3x2",
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "cifar10_reencoded": "CIFAR-10, re-encoded",
}

# The paper names ten groups of ImageNet but not the classes inside them: these are our choice, of
# folders of ILSVRC-2012 (WordNet numbers). Its 1,000 classes hold only two flowers, so the flower
# group also names classes of the full ImageNet.
SMALL_IMAGENET_GROUPS = {
    "reptiles": "n01664065 n01665541 n01667114 n01669191 n01675722 n01677366 n01682714 n01688243 "
    "n01692333 n01695060 n01697457 n01698640 n01728572 n01734418 n01742172 n01748264",
    "vehicles": "n02690373 n02701002 n02814533 n02930766 n03100240 n03345487 n03417042 n03594945 "
    "n03769881 n03785016 n03792782 n03930630 n04146614 n04285008 n04310018 n04467665",
    "birds": "n01514668 n01518878 n01531178 n01558993 n01580077 n01614925 n01622779 n01795545 "
    "n01806143 n01818515 n01833805 n01843383 n01855672 n02002556 n02007558 n02056570",
    "mammals": "n01877812 n01882714 n02066245 n02077923 n02099601 n02119022 n02123045 n02129165 "
    "n02132136 n02356798 n02391049 n02410509 n02437312 n02480855 n02504013 n02510455",
    "fish": "n01440764 n01443537 n01484850 n01491361 n01494475 n01496331 n01498041 n02514041 "
    "n02526121 n02536864 n02606052 n02607072 n02640242 n02641379 n02643566 n02655020",
    "furniture": "n02791124 n02804414 n02870880 n03016953 n03018349 n03125729 n03131574 n03179701 "
    "n03201208 n03290653 n03376595 n03388549 n03891251 n04099969 n04344873 n04550184",
    "instruments": "n02672831 n02676566 n02787622 n02804610 n02992211 n03110669 n03249569 "
    "n03272010 n03372029 n03394916 n03452741 n03494278 n03495258 n04141076 n04487394 n04536866",
    "tools": "n02906734 n02951585 n02966687 n03000684 n03041632 n03109150 n03481172 n03498962 "
    "n03658185 n03954731 n03967562 n03970156 n03995372 n04154565 n04208210",
    "flowers": "n11669921 n11719286 n11793779 n11808468 n11900569 n11939491 n11960245 n11978233 "
    "n12057211 n12620196",
    "fruits": "n07742313 n07745940 n07747607 n07749582 n07753113 n07753275 n07753592 n07754684 "
    "n07760859 n07768694",
}
_PICTURES = {".jpeg", ".jpg", ".png", ".bmp"}


def data_folder():
    """Return the folder of the data sets: ``$COURSE_DATA``, else one in the user's cache.

    It need not exist yet. MNIST's four ``.gz`` files lie in its ``mnist``, CIFAR-10's six ``.bin``
    files in its ``cifar10/cifar-10-batches-bin``.
    """
    if os.environ.get("COURSE_DATA"):
        return pathlib.Path(os.environ["COURSE_DATA"]).expanduser()
    home = pathlib.Path.home()
    if sys.platform == "win32":
        cache = pathlib.Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        cache = home / "Library" / "Caches"
    else:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return cache / "hard-to-train"


def mnist(verify=True):
    """Return MNIST as a `Dataset`: 50,000 / 10,000 / 10,000 digits of 28 x 28 = 784 grey pixels.

    The validation part is the last 10,000 of the official training file, in its order. Training
    part, measured: mean .1310, standard deviation .3085, mean square .1123, 81 % of pixels 0.
    `verify` compares each file with its SHA-256; without it the name says "unverified".

    Raises ValueError for a damaged or different file, ConnectionError where no mirror answers,
    OSError for a folder that cannot be written, ImportError where pooch is needed and missing.
    LeCun et al. (1998); split of Glorot & Bengio (2010), section 2.3.
    """
    folder = data_folder() / "mnist"
    missing = [name for name in _MNIST_FILES if not (folder / name).exists()]
    if missing:
        with _workplace(folder) as temporary:
            for name in missing:
                _fetch(name, temporary / name, folder, lambda path: _read_idx(path, verify=True))
            for name in missing:
                os.replace(temporary / name, folder / name)
    files = {name: _read_idx(folder / name, verify) for name in _MNIST_FILES}
    n_train, n_validation, n_test = COUNTS["mnist"]
    images, labels = _mnist_pair(folder, files, "train", n_train + n_validation)
    return Dataset(
        name="MNIST" if verify else "MNIST, unverified",
        train=_split(images[:n_train], labels[:n_train]),
        validation=_split(images[n_train:], labels[n_train:]),
        test=_split(*_mnist_pair(folder, files, "t10k", n_test)),
        classes=tuple("0123456789"),
        shape=(28, 28),
        note="" if verify else "the files were not compared with the official checksums",
    )


def cifar10(verify=True):
    """Return CIFAR-10 as a `Dataset`: 40,000 / 10,000 / 10,000 pictures of 3 x 32 x 32 = 3072.

    Training is batches 1 to 4 of the official *binary* files, validation batch 5, in their order;
    red, green, blue plane by plane. Training part, measured on a JPEG copy: mean .474, standard
    deviation .251, mean square .287. In float32 the whole set takes 0.7 GB. ``verify=False``
    accepts other bytes in the same layout, and names the data set "CIFAR-10, re-encoded".

    Raises ValueError for a damaged or different file, ConnectionError where no mirror answers,
    OSError for a folder that cannot be written, ImportError where pooch is needed and missing.
    Krizhevsky (2009); split of Glorot & Bengio (2010), section 2.3.
    """
    folder = data_folder() / "cifar10"
    _unpack_cifar10(folder)
    paths = [folder / CIFAR10_FOLDER / name for name in CIFAR10_SHA256]
    return Dataset(
        name="CIFAR-10" if verify else "CIFAR-10, re-encoded",
        train=_cifar10_split(paths[:4], COUNTS["cifar10"][0], verify),
        validation=_cifar10_split(paths[4:5], COUNTS["cifar10"][1], verify),
        test=_cifar10_split(paths[5:], COUNTS["cifar10"][2], verify),
        classes=CIFAR10_CLASSES,
        shape=(3, 32, 32),
        note="" if verify else "re-encoded: not compared with the official checksums",
    )


def cifar10_reencoded():
    """Return CIFAR-10 from files that are not the official bytes: ``cifar10(verify=False)``."""
    return cifar10(verify=False)


def some(split, count, seed):
    """Return `count` examples of a `Split`, chosen at random by the seed, as a `Split`.

    ValueError where it has fewer.
    """
    if not 1 <= count <= len(split.images):
        raise ValueError(f"there are {len(split.images)} examples; {count} were asked for")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(split.images), generator=generator)[:count]
    return Split(split.images[chosen], split.labels[chosen])


def small_imagenet(folder, groups=None, per_class=(9_000, 1_000, 1_000), seed=0):
    """Return a set like the paper's Small-ImageNet from an ImageNet tree: 37 x 37 grey, ten groups.

    `folder` holds ``<class>/.../picture.JPEG``. `groups` maps the name of each group, in the order
    of the labels, to its class folders; the default is `SMALL_IMAGENET_GROUPS` (WordNet numbers),
    and a folder with the group's own name counts too. Of every group the same numbers are drawn,
    `per_class` (training, validation, test), by `seed`; the largest centred square is averaged
    down to 37 x 37. The paper's own pictures were never published, so errors are comparable only
    roughly. 110,000 pictures take a few minutes: keep them with ``storage.save``.

    Raises ValueError where a group has too few pictures, naming it and what would be enough.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; it must hold <class>/...pictures")
    counts = _checked_counts(per_class)
    found = _pictures_by_group(folder, SMALL_IMAGENET_GROUPS if groups is None else groups, counts)
    generator = torch.Generator().manual_seed(seed)
    parts = ([], [], [])
    for label, files in enumerate(found.values()):
        drawn = [(files[i], label) for i in torch.randperm(len(files), generator=generator)]
        for part, count in zip(parts, counts, strict=True):
            part.extend(drawn[:count])
            drawn = drawn[count:]
    train, validation, test = (_picture_split(part, generator) for part in parts)
    return Dataset(
        name="Small-ImageNet, rebuilt",
        train=train,
        validation=validation,
        test=test,
        classes=tuple(found),
        shape=(37, 37),
        note="rebuilt from another choice of ImageNet pictures than the paper's",
    )


# ---- reading ---------------------------------------------------------------------------------


def _split(pixels, labels):
    """Bytes (n, ...) and labels (n,) as a `Split` of float32 (n, d) in [0, 1] and int64."""
    pixels = pixels.reshape(len(pixels), -1)
    images = np.divide(pixels, np.float32(255), dtype=np.float32)
    return Split(torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)))


def _read(path):
    try:
        return path.read_bytes()
    except OSError as error:
        raise type(error)(error.errno, f"cannot read {path}: {error.strerror}") from None


def _compare(digest, expected, path):
    if digest != expected:
        raise ValueError(
            f"{path.name} is not the official file: its content has SHA-256 {digest}, "
            f"the official one {expected}. Delete {path} and call again to download it, or read "
            "it as it is with verify=False, which the name of the data set then says"
        )


def _read_idx(path, verify):
    """The array in an IDX file of bytes, compressed or not (big-endian shape, then the bytes)."""
    content = _read(path)
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except EOFError:
        raise ValueError(
            f"{path} is truncated: the compressed data end early. Delete it and call again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it and call again") from None
    header = 4 + 4 * content[3] if len(content) > 3 else 4
    if len(content) < header or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of bytes. Delete it and call again")
    shape = tuple(int(size) for size in np.frombuffer(content[4:header], ">u4"))
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        kind = "truncated" if len(content) < expected else "too long"
        raise ValueError(
            f"{path} is {kind}: {len(content):,} bytes once unzipped, {expected:,} by its own "
            "header. Delete it and call again"
        )
    if verify:
        _compare(hashlib.sha256(content).hexdigest(), REGISTRY[path.name].sha256, path)
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _mnist_pair(folder, files, prefix, count):
    """Images and labels of one half of MNIST, after checking that they belong together."""
    images = files[f"{prefix}-images-idx3-ubyte.gz"]
    labels = files[f"{prefix}-labels-idx1-ubyte.gz"]
    if images.shape != (count, 28, 28) or labels.shape != (count,) or labels.max(initial=0) > 9:
        raise ValueError(
            f"{folder}: the {prefix} files hold images {images.shape} and labels {labels.shape} up "
            f"to {labels.max(initial=0)}; MNIST has ({count}, 28, 28) and ({count},) up to 9"
        )
    return images, labels


def _cifar10_split(paths, count, verify):
    """One `Split` from files of records: a label byte, then 3072 pixel bytes, nothing between."""
    images = torch.empty(count, 3072)
    labels = torch.empty(count, dtype=torch.int64)
    size = count // len(paths)
    for k, path in enumerate(paths):
        content = _read(path)
        if len(content) != size * 3073:
            kind = "truncated" if len(content) < size * 3073 else "too long"
            raise ValueError(
                f"{path} is {kind}: {len(content):,} bytes, CIFAR-10 has {size * 3073:,}. "
                "Delete it and call again"
            )
        if verify:
            _compare(hashlib.sha256(content).hexdigest(), CIFAR10_SHA256[path.name], path)
        records = np.frombuffer(content, np.uint8).reshape(size, 3073)
        if records[:, 0].max() > 9:
            raise ValueError(f"{path} has label {records[:, 0].max()}; CIFAR-10 has 0 to 9")
        here = slice(k * size, (k + 1) * size)
        np.divide(records[:, 1:], np.float32(255), out=images.numpy()[here])
        labels.numpy()[here] = records[:, 0]
    return Split(images, labels)


def _checked_counts(per_class):
    counts = tuple(per_class)
    if len(counts) != 3 or not all(isinstance(n, int) and n > 0 for n in counts):
        raise ValueError(
            f"per_class = {per_class!r}: three positive whole numbers are needed, of pictures "
            "per group for training, validation and test"
        )
    return counts


def _pictures_by_group(folder, groups, counts):
    """Sorted picture files of every group, after checking that each group has enough of them."""
    found, owner = {}, {}
    for group, classes in groups.items():
        names = {group, *(classes.split() if isinstance(classes, str) else classes)}
        for name in sorted(names):
            if owner.setdefault(name, group) != group:
                raise ValueError(f"class {name!r} is in two groups: {owner[name]!r} and {group!r}")
        found[group] = sorted(
            path
            for name in names
            for path in (folder / name).rglob("*")
            if path.suffix.lower() in _PICTURES and path.is_file()
        )
    if len(found) < 2:
        raise ValueError(f"groups has {len(found)} entries; at least 2 groups are needed")
    total = sum(counts)
    lacking = {group: len(files) for group, files in found.items() if len(files) < total}
    if lacking:
        fewest = min(lacking.values())
        fits = tuple(max(1, n * fewest // total) for n in counts)
        remedy = f", or pass per_class={fits}" if sum(fits) <= fewest else ""
        raise ValueError(
            f"{folder} has too few pictures ({', '.join(sorted(_PICTURES))}) for "
            + ", ".join(f"{group} ({n:,})" for group, n in lacking.items())
            + f": {total:,} a group are needed. Add folders named as in "
            "datasets.SMALL_IMAGENET_GROUPS, name your own with groups={'fish': ['my_folder', "
            "...], ...}" + remedy
        )
    return found


def _picture_split(labelled, generator):
    """Read (path, label) pairs in a random order into one `Split`, with a progress bar."""
    order = torch.randperm(len(labelled), generator=generator)
    images = torch.empty(len(labelled), 37 * 37)
    labels = torch.tensor([labelled[i][1] for i in order])
    for row, i in enumerate(tqdm(order.tolist(), desc="pictures", file=sys.stderr)):
        images[row] = _grey_square(labelled[i][0], 37)
    return Split(images, labels)


def _grey_square(path, size):
    """The largest centred square of a picture, grey, size x size, as floats in [0, 1]."""
    image = _optional("PIL.Image", "reading pictures")
    try:
        with image.open(path) as picture:
            picture.draft("L", (2 * size, 2 * size))  # a JPEG decodes faster at a coarser scale
            grey = picture.convert("L")
    except (OSError, SyntaxError, image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture ({error}); remove it") from None
    width, height = grey.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    small = grey.resize(
        (size, size), image.Resampling.BOX, box=(left, top, left + side, top + side)
    )
    return torch.from_numpy(np.asarray(small, np.float32).reshape(-1) / 255)


# ---- downloading -----------------------------------------------------------------------------


def _optional(module, purpose):
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f'{purpose} needs the package of {module}: pip install "hard-to-train[data]"'
        ) from None


@contextlib.contextmanager
def _workplace(folder):
    """A temporary folder inside `folder`, gone afterwards; what is complete is moved out of it.

    Being on the same disk, a file moves in one step (`os.replace`), so that `folder` never holds
    half of one. Explains every error of the disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            yield pathlib.Path(temporary)
    except ConnectionError:
        raise
    except OSError as error:
        what = f"cannot write {error.filename or folder}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            what += ". The disk is full: free some space (CIFAR-10 needs 0.4 GB), or"
        elif isinstance(error, PermissionError):
            what += ". You may not write there:"
        else:
            what += ":"
        raise type(error)(
            error.errno, f"{what} set COURSE_DATA to a folder with room that you can write to"
        ) from None


def _fetch(name, target, folder, check):
    """Download a file of the registry to `target` from its first mirror that `check` accepts."""
    pooch = _optional("pooch", f"{folder / name} is not there, and downloading it")
    requests = _optional("requests", "downloading")
    # "identity": some hosts would otherwise unzip the file on the way.
    download = pooch.HTTPDownloader(
        progressbar=True, chunk_size=2**16, timeout=30, headers={"Accept-Encoding": "identity"}
    )
    failures, corrupt = [], False
    for url in REGISTRY[name].urls:
        print(f"Downloading {url}", file=sys.stderr)
        try:
            with open(target, "wb") as file:
                download(url, file, None)
            check(target)
            return
        except requests.RequestException as error:
            failures.append(f"  {url}: {_reason(error, requests)}")
        except ValueError as error:
            corrupt = True
            failures.append(f"  {url}: {error}".replace(str(target), name).split(". Delete")[0])
    raise (ValueError if corrupt else ConnectionError)(
        f"{name} could not be downloaded:\n"
        + "\n".join(failures)
        + f"\nTry again later, or save the file yourself as {folder / name}"
    )


def _reason(error, requests):
    if isinstance(error, requests.HTTPError):
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "no answer within 30 seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection; is this machine online?"
    return f"{type(error).__name__}: {error}"


def _check_archive(path):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = REGISTRY[CIFAR10_ARCHIVE].sha256
    if digest != expected:
        raise ValueError(
            f"{path} is truncated or not the official archive: its SHA-256 is {digest}, not "
            f"{expected}. Delete it and call again to download it"
        )


def _unpack_cifar10(folder):
    """Take the ``.bin`` files that are missing out of the archive, by name; nothing else of it."""
    goal = folder / CIFAR10_FOLDER
    missing = [name for name in CIFAR10_SHA256 if not (goal / name).exists()]
    if not missing:
        return
    with _workplace(folder) as temporary:
        archive = folder / CIFAR10_ARCHIVE
        if archive.exists():
            _check_archive(archive)
        else:
            archive = temporary / CIFAR10_ARCHIVE
            _fetch(CIFAR10_ARCHIVE, archive, folder, _check_archive)
        with tarfile.open(archive) as tar:
            for member in tar:
                folder_name, _, name = member.name.removeprefix("./").partition("/")
                if folder_name == CIFAR10_FOLDER and name in missing and member.isfile():
                    with open(temporary / name, "wb") as file:
                        file.write(tar.extractfile(member).read())
        goal.mkdir(exist_ok=True)
        for name in missing:
            os.replace(temporary / name, goal / name)
