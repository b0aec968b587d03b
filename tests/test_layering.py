"""The library's modules stand in layers, and each imports only from the layers below its own."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "course_lib"

# From the ground up. A new module is entered here; a module of the widgets stands with `widgets`.
LAYERS = [
    {"storage", "activations", "spectra", "plots", "processes", "statements", "alarm"},
    {"theory", "shapeset", "datasets", "results"},
    {"init"},
    {"models"},
    {"backprop"},
    {"instruments", "jacobian", "engine", "fresh"},
    {"training"},
    {"jobs", "pretraining", "second_order", "baselines", "criteria", "criteria_before", "surfaces"},
    {"sweeps", "untrained", "criteria_layers", "criteria_errors", "verdicts"},
    {"experiments", "verdicts_before", "verdicts_layers", "verdicts_errors"},
    {"reproduce", "report", "checks", "verdicts_elsewhere", "films"}
    | {"figures_before", "figures_layers", "figures_errors"},
    {"figures", "claims"},
    {"widgets", "classroom"},
    {"__main__"},
]
LAYER = {name: number for number, names in enumerate(LAYERS) for name in names}

# Packages that reach the network, and the one module that may import each of them.
NETWORK = {
    "pooch", "requests", "urllib", "urllib3", "http", "httpx", "aiohttp", "socket", "ftplib",
    "torchvision", "torch.hub", "smtplib", "xmlrpc",
}  # fmt: skip
# What reads code along with data.
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}

MODULES = sorted(p for p in LIBRARY.rglob("*.py") if "__pycache__" not in p.parts)
IDS = [str(p.relative_to(LIBRARY).with_suffix("")) for p in MODULES]


def top(path, library=LIBRARY):
    """Return the name that a file has in the table: its own, or that of its folder."""
    return path.relative_to(library).with_suffix("").parts[0]


def imports(source, package="course_lib"):
    """Return every dotted name that a module imports, anywhere in it, in-function ones included.

    `from a import b` counts as both `a` and `a.b`; a relative import counts from `package`.
    """
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - max(node.level - 1, 0)]
            base = ".".join((parts if node.level else []) + ([node.module] if node.module else []))
            names.update(f"{base}.{alias.name}" for alias in node.names)
            names.add(base)
    return names


def siblings(source, package="course_lib"):
    """Return the modules of the library that a module imports."""
    inside = (n.split(".") for n in imports(source, package) if n.startswith("course_lib."))
    # `from course_lib import __version__` names an attribute, not a module.
    return {parts[1] for parts in inside} - {"__version__"}


def offences(name, source, package="course_lib"):
    """Return what the imports of module `name` violate, in words; an empty list if nothing."""
    if name not in LAYER:
        return [f"{name} is in no layer: enter it in LAYERS"]
    found = []
    for other in sorted(siblings(source, package) - {name}):
        if other not in LAYER:
            found.append(f"{name} imports {other}, which is in no layer")
        elif LAYER[other] >= LAYER[name]:
            found.append(f"{name} imports {other}, which does not stand below it")
    return found


def brings(source, packages):
    """Return the names among a module's imports that are, or lie in, one of the packages."""
    return sorted(
        n for n in imports(source) if any(n == p or n.startswith(p + ".") for p in packages)
    )


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_module_imports_only_from_below(path):
    if path == LIBRARY / "__init__.py":
        assert not siblings(path.read_text()), "the package itself imports none of its modules"
    else:
        package = ".".join(("course_lib", *path.relative_to(LIBRARY).parts[:-1]))
        assert offences(top(path), path.read_text(), package) == []


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("init", "from course_lib import training", "does not stand below"),
        ("init", "import course_lib.training as t", "does not stand below"),
        ("init", "def f():\n    from course_lib.training import train", "does not stand below"),
        ("init", "from . import training", "does not stand below"),
        ("init", "from .training import train", "does not stand below"),
        ("theory", "from course_lib import shapeset", "does not stand below"),
        ("init", "from course_lib import helpers", "in no layer"),
        ("helpers", "import torch", "in no layer"),
    ],
)
def test_offence_is_found(name, source, words):
    assert words in " ".join(offences(name, source))


def test_allowed_imports_are_no_offence():
    source = "import torch\nfrom course_lib import __version__, activations\nfrom . import storage"
    assert offences("init", source) == []
    assert offences("widgets", "from ..init import SCHEMES", "course_lib.widgets") == []


def test_there_is_no_drawer_for_odds_and_ends():
    assert not {"utils", "helpers", "misc", "common"} & {top(p) for p in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_only_its_owner_imports_a_guarded_package(path):
    source = path.read_text()
    if top(path) != "datasets":
        assert brings(source, NETWORK) == [], "only datasets touches the network"
    if top(path) != "classroom":
        assert brings(source, {"nbgrader"}) == [], "only classroom calls nbgrader"
    assert brings(source, UNPICKLERS) == [], "files are read without running what is in them"


def unsafe_loads(source):
    """Return the lines that call torch.load without weights_only=True, or allow pickles."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        torch_load = (
            ast.unparse(node.func) == "torch.load" and given.get("weights_only") is not True
        )
        if torch_load or given.get("allow_pickle", False) is not False:
            lines.append(node.lineno)
    return lines


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_no_file_is_unpickled(path):
    assert unsafe_loads(path.read_text()) == []


def test_unsafe_loads_are_found():
    source = "torch.load(f)\ntorch.load(f, weights_only=True)\nnp.load(f, allow_pickle=True)\n"
    assert unsafe_loads(source + "torch.load(f, weights_only=False)") == [1, 3, 4]
    assert brings("import pickle\nfrom urllib import request", UNPICKLERS | NETWORK) == [
        "pickle",
        "urllib",
        "urllib.request",
    ]


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_only_datasets_names_hosts(path):
    hosts = re.findall(r"(?:https?|ftp)://([\w.-]+)", path.read_text())
    # An identifier of a standard, such as the name space of SVG, is not fetched.
    hosts = [h for h in hosts if h != "www.w3.org"]
    assert top(path) == "datasets" or hosts == []


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_global_state_is_left_alone(path):
    """No seed, default type or precision is set for the whole process.

    torch.set_num_threads is not in the list: training sets it for its own duration, and its own
    tests see that it is put back.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {
                "torch.manual_seed", "torch.seed", "np.random.seed", "random.seed",
                "torch.set_default_dtype", "torch.set_default_device", "torch.set_grad_enabled",
                "torch.set_float32_matmul_precision", "torch.use_deterministic_algorithms",
                "plt.ion", "plt.switch_backend",
            }, f"line {node.lineno}"  # fmt: skip


def test_library_needs_only_what_it_declares():
    """What is imported at the top of a module is a dependency; an extra is imported when needed."""
    allowed = set(sys.stdlib_module_names) | {"torch", "numpy", "matplotlib", "tqdm", "course_lib"}
    for path in MODULES:
        if top(path) in {"widgets", "classroom"}:
            continue
        tree = ast.parse(path.read_text())
        tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        packages = {name.split(".")[0] for name in imports(ast.unparse(tree)) if name}
        assert packages <= allowed, f"{path.name} imports {packages - allowed}"
