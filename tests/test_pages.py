"""The pages' text: equations, references, names and links that Sphinx does not check by itself."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from course_lib import claims, init
from course_lib.models import MLP

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("book", "lessons", "lessons/assignments")
PAGES = [p for folder in FOLDERS for p in sorted((ROOT / folder).glob("*.md"))]
README = ROOT / "README.md"
each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}"
)


def prose(page):
    """Return a page's text without its code."""
    fenced = r"^(?P<fence>`{3,})(?:\{code-cell\}|[a-z]+\n).*?^(?P=fence)$"
    return re.sub(fenced, "", page.read_text(), flags=re.M | re.S)


# ---- equations
MATH = re.compile(r"^[`:]{3,}\{math\}(.*?)^[`:]{3,}$", flags=re.M | re.S)
# What takes a number unasked: amsmath's environments without a star, and $$ ... $$ (label).
UNASKED = re.compile(r"^\\begin\{(?:equation|align|gather)\}|\$\$ *\([^)\s]+\) *$", flags=re.M)


def labels(page):
    """Return the labels of a page's numbered equations, in order."""
    text = page.read_text()
    assert not UNASKED.search(text), "use the math directive with a label"
    return re.findall(r"^:label: *(\S+)", "".join(MATH.findall(text)), flags=re.M)


def test_equations_are_labelled_once_and_in_order():
    """Their numbers are counted, so that this order is what makes (6) be Eq. (6)."""
    assert labels(ROOT / "book" / "equations.md") == [f"eq-{n}" for n in range(1, 18)]


@each_page
def test_no_other_page_labels_an_equation(page):
    """A label on an earlier page would shift every number."""
    if page.name != "equations.md":
        assert labels(page) == []


@each_page
def test_an_equation_that_is_repeated_links_to_its_home(page):
    text = page.read_text()
    # "(6, printed)" is a form that the numbered equation corrects.
    for number in set(re.findall(r"\\tag\{(.*?)(?:, printed)?\}", text)):
        assert re.fullmatch(r"[1-9]|1[0-7]", number), f"there is no Eq. ({number})"
        assert f"{{eq}}`eq-{number}`" in text, f"link to Eq. ({number}) from this page"


# ---- references, images, links
def test_every_reference_is_cited_and_every_citation_is_there():
    entries = set(re.findall(r"^@\w+\{([^,]+),", (ROOT / "book/references.bib").read_text(), re.M))
    cited = set()
    for page in PAGES:
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", page.read_text()):
            cited |= {key.strip() for key in keys.split(",")}
    assert cited == entries


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_every_picture_has_alternative_text(page):
    text = prose(page)
    assert not re.search(r"!\[\s*\]\(", text)
    for tag in re.findall(r"<img\b[^>]*>", text):
        assert re.search(r'\balt="[^"]{10,}"', tag), tag
    for picture in re.findall(r"^[`:]{3,}\{(?:image|figure)\}.*?^[`:]{3,}$", text, re.M | re.S):
        assert re.search(r"^:alt: *\S.{10,}", picture, re.M), picture


@each_page
def test_links_to_rows_of_the_ledger_exist(page):
    known = {claim.id for claim in claims.CLAIMS}
    text = prose(page)
    assert set(re.findall(r"\bC\d\d\b", text)) <= known
    anchors = re.findall(r"claims\.html#(\w+)", text)
    assert {anchor.upper() for anchor in anchors} <= known


@pytest.mark.parametrize("page", [*PAGES, README], ids=lambda page: page.stem)
def test_nothing_unfinished_or_private_is_left(page):
    text = page.read_text()
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD|[Ll]orem ipsum)\b", text)
    assert not re.search(r"(?<![\w.])/(work|tmp|home|root)/", text)


def test_readme_names_what_exists():
    text = README.read_text()
    extras = re.search(r"\.\[([\w,]+)\]", text).group(1).split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras) <= set(project["optional-dependencies"])
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    assert set(re.findall(r"\bmake ([a-z]+)", text)) <= set(targets)
    for path in re.findall(r"`((?:book|tests|lessons)/[\w/.]+|[A-Z]+(?:\.md|\.cff)?)`", text):
        assert (ROOT / path).exists(), path


# ---- pages that speak of the library
def test_every_module_is_in_the_reference():
    page = (ROOT / "book" / "api.md").read_text()
    documented = re.findall(r"automodule:: course_lib\.([\w.]+)", page)
    modules = {path.stem for path in (ROOT / "course_lib").glob("[!_]*.py")}
    modules |= {path.parent.name for path in (ROOT / "course_lib").glob("*/__init__.py")}
    assert len(documented) == len(set(documented))
    assert {name for name in documented if "." not in name} == modules
    for name in modules:
        assert f"[`{name}`](#api-{name})" in page, f"{name} is missing from the table"


def test_names_in_the_table_of_notation_hold():
    """Sizes, lengths and shapes as the page on notation gives them."""
    model = MLP([5, 4, 3, 2], "tanh", runs=2, scheme=["standard", "normalized"])
    trace = model(torch.zeros(7, 5))
    d = len(model.sizes) - 2
    assert d == model.depth
    assert [tuple(w.shape) for w in model.weights] == [(2, 5, 4), (2, 4, 3), (2, 3, 2)]
    assert len(model.biases) == len(trace.pre_activations) == len(trace.activations) == d + 1
    assert tuple(trace.pre_activations[d].shape) == (2, 7, 2)
    assert callable(init.normalized_)
    page = (ROOT / "book" / "notation.md").read_text()
    for name in ("model.weights[i]", "trace.pre_activations[i]", "trace.activations", ".slope"):
        assert name in page


def test_glossary_is_in_alphabetical_order():
    block = re.search(r"```\{glossary\}\n(.*?)```", (ROOT / "book/glossary.md").read_text(), re.S)
    terms = re.findall(r"^(\S.*)$", block.group(1), re.M)
    assert len(terms) >= 30
    assert terms == sorted(set(terms), key=str.lower)
