"""The concept check: its questions, what their explanations claim, and the page that marks them.

The page is that of the built book (``make book``); without it, these tests are left out.
"""

import hashlib
import importlib.util
import os
import re
import shutil
from collections import Counter
from pathlib import Path

import jupytext
import numpy as np
import pytest
import torch

from course_lib import activations, backprop, models, results, shapeset, theory, training

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "concepts.md"
TEXT = PAGE.read_text(encoding="utf-8")


def extension():
    """Load book/extensions/concepts.py, which is in no package."""
    path = ROOT / "book" / "extensions" / "concepts.py"
    spec = importlib.util.spec_from_file_location("concepts_extension", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONCEPTS = extension()


def questions():
    """Return the questions of the page: title, options, stem and [(choice, reason), ...]."""
    found = []
    for title, body in re.findall(r"^:::\{concept\} (.+?)\n(.*?)^:::$", TEXT, re.M | re.S):
        options = dict(re.findall(r"^:(\w+): (.+)$", body, re.M))
        stem, choices = CONCEPTS.parse(re.sub(r"^:\w+: .+\n", "", body, flags=re.M).splitlines())
        found.append({"title": title, **options, "stem": stem, "choices": choices})
    return found


QUESTIONS = questions()
RIGHT = "".join(q["right"] for q in QUESTIONS)
each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q["title"])

# ---- the form


def test_there_are_ten_questions_two_for_each_of_five_themes():
    assert len(QUESTIONS) == 10 and len({q["title"] for q in QUESTIONS}) == 10
    assert sorted(Counter(q["theme"] for q in QUESTIONS).values()) == [2, 2, 2, 2, 2]
    # One question of a theme does not prepare for the other.
    themes = [q["theme"] for q in QUESTIONS]
    assert all(a != b for a, b in zip(themes, themes[1:], strict=False))


@each_question
def test_a_question_is_whole(question):
    CONCEPTS.check(*(question[part] for part in ("title", "stem", "choices", "right")))
    assert len(question["choices"]) == 4, "the page says that a quarter is right by chance"
    assert len(question["stem"].split()) >= 25 and question["stem"].endswith("?")
    for choice, reason in question["choices"]:
        assert len(choice.split()) >= 6 and not choice.endswith(".")
        assert len(reason.split()) >= 15 and reason.endswith("."), reason
    assert all(CONCEPTS.lesson(number) for number in question["lessons"].split(","))


def test_what_is_not_whole_is_refused():
    four = [("a choice", "a reason")] * 4
    CONCEPTS.check("t", "Why?", four, "d")
    bad = [("", four, "a"), ("Why?", four[:3], "a"), ("Why?", four * 2, "a")]
    for stem, choices, right in (*bad, *(("Why?", four, letter) for letter in ("e", "", "ab"))):
        with pytest.raises(ValueError, match="'t'"):
            CONCEPTS.check("t", stem, choices, right)
    with pytest.raises(ValueError, match="no lesson 99"):
        CONCEPTS.lesson("99")
    with pytest.raises(ValueError, match="after the choices"):
        CONCEPTS.parse(["Why?", "", "one", ": because", "", "a loose end"])


def test_right_answers_are_spread_over_the_letters():
    assert set(Counter(RIGHT).values()) <= {2, 3} and set(RIGHT) == set("abcd")
    assert not re.search(r"(.)\1", RIGHT)


def test_length_gives_no_answer_away():
    ranks = []
    for q in QUESTIONS:
        lengths = [len(re.sub(r"[$\\*]", "", choice)) for choice, _ in q["choices"]]
        ranks.append(sorted(lengths).index(lengths["abcd".index(q["right"])]))
        assert max(lengths) < 1.7 * min(lengths), q["title"]
    assert max(Counter(ranks).values()) <= 4 and ranks.count(3) <= 3 and ranks.count(0) <= 3, ranks


def test_no_word_gives_an_answer_away():
    """Three choices in four are wrong, so a word may stand in wrong ones three times as often."""
    counts = {True: Counter(), False: Counter()}
    for q in QUESTIONS:
        for letter, (choice, _) in zip("abcd", q["choices"], strict=True):
            counts[letter == q["right"]].update(set(re.findall(r"\w+", choice.lower())))
    for word in ("always", "never", "only", "all", "nothing", "none", "may", "can", "certainly"):
        right, wrong = counts[True][word], counts[False][word]
        assert abs(wrong - 3 * right) <= 4, (word, right, wrong)


def test_the_edition_changes_with_the_questions():
    """Answers to other questions must not be compared: raise the edition, then write both here."""
    asked = [[q["title"], q["right"], q["stem"], *(c for c, _ in q["choices"])] for q in QUESTIONS]
    digest = hashlib.sha256(repr(asked).encode()).hexdigest()[:12]
    (edition,) = re.findall(r"^:edition: (\d+)$", TEXT, re.M)
    assert (edition, digest) == ("1", "e8cffd99d114")


def test_readers_come_across_the_page():
    for name in ("book/intro.md", "lessons/00_start_here.md"):
        assert "concepts.md)" in (ROOT / name).read_text(encoding="utf-8"), name
    (last,) = (ROOT / "lessons").glob("12_*.md")
    assert "concepts.md)" in last.read_text(encoding="utf-8")
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert re.search(r"caption: Lessons\s+chapters:\s+- file: book/concepts\n", contents)


# ---- what the explanations claim


@pytest.fixture(scope="module")
def page():
    """The names that the page's own cell computes, and what it hands to the text as `glued`."""
    import myst_nb

    glued = {}
    cells = jupytext.reads(TEXT, fmt="md:myst").cells
    (source,) = (cell.source for cell in cells if cell.cell_type == "code")
    patch = pytest.MonkeyPatch()
    patch.setattr(myst_nb, "glue", lambda name, value, display: glued.update({name: value}))
    names = {}
    exec(source, names)
    patch.undo()
    return {**names, "glued": glued}


@pytest.fixture(scope="module")
def value(page):
    return page["value"]


def test_every_number_is_computed_and_every_computed_number_is_used(page):
    used = set(re.findall(r"\{glue:text\}`(\w+)", TEXT))
    assert used <= set(page["glued"])
    steps = {"left_first", "left_last", "stayed", "fade_sigmoid", "sigmoid_fade", "trace_lost"}
    unused = set(page["glued"]) - used - steps - {"behind_fast", "trace_2"}
    assert not unused
    typed = {number for q in QUESTIONS for _, reason in q["choices"]
             for number in re.findall(r"\d+\.\d+", reason)}  # fmt: skip
    assert typed <= {"0.01", "0.1"}, "two rates; all else is computed"


def test_claims_of_the_grey_card(value):
    expected = 0.5 * theory.weight_variance("standard", 1024, 1000) ** 0.5 * 1024**0.5
    for name in ("card", "noise"):  # a standard deviation of 1,000 scatters by 2.2 %: three of it
        assert abs(value[f"{name}_std"] / expected - 1) < 3 / (2 * 1000) ** 0.5


def test_claims_of_the_three_networks(value, page):
    assert abs(value["fade_linear"] / 3**3.5 - 1) < 0.05 and value["fade_tanh"] > 40
    assert value["fade_sigmoid"] > 4**7 * value["fade_linear"] > 100 * value["fade_tanh"]
    assert (
        abs(value["step"] ** -7 - 3**3.5) < 1e-9
        and page["glued"]["about_fade_sigmoid"] == "900,000"
    )
    for name in ("sigmoid", "tanh"):  # "few of their units are saturated"
        model = models.MLP([1024] + 8 * [100] + [9], name, scheme="standard", seed=0)
        hidden = model(page["pictures"]).activations[1:]
        saturated = activations.get(name).saturated
        assert max(float(saturated(z).double().mean()) for z in hidden) < 0.05


def test_claims_of_the_cost_that_stands_still(value, page):
    four, five, left = page["four"], page["five"], page["left"]
    top = four["activation_mean"][:, :, -1]
    assert len(left) == 5 and not np.isnan(left).any() and left.min() > 20_000
    for run in range(5):
        waits = (four["update"] >= 2_000) & (four["update"] <= 12_000)
        assert top[waits, run].max() < 0.05 and np.ptp(four["cost"][waits, run]) < 0.1
        assert four["cost"][-1, run] < 2.05 < four["cost"][waits, run].min()
    assert 0.001 < value["lowest_top"] < 0.01 and value["stayed_runs"] == five["cost"].shape[1] == 5
    about = {"left_first": "50,000", "left_last": "100,000", "stayed": "500,000"}
    assert {name: page["glued"][f"about_{name}"] for name in about} == about


def test_claims_of_the_layers_that_narrow(value):
    generator, W = torch.Generator().manual_seed(0), []
    for rows, columns in ((512, 256), (256, 128)):
        W.append(torch.randn(50, rows, columns, generator=generator) / rows**0.5)
    up = torch.randn(50, 1, 512, generator=generator) @ W[0] @ W[1]
    down = torch.randn(50, 1, 128, generator=generator) @ W[1].mT @ W[0].mT
    # 50 networks of some 100 independent numbers each: 2 to 3 %. Four of those:
    assert abs(up.square().mean() - 1) < 0.12 and abs(down.square().mean() / 0.25 - 1) < 0.12
    assert value["funnel"] == pytest.approx(0.25)


def test_claims_of_two_costs_at_one_rate(value, page):
    assert value["behind_slow"] > 20 and value["behind_fast"] < -5 and 0 < value["behind_own"] < 3
    assert 2 * value["seed_range"] < value["behind_slow"]
    for cost, result in page["long"].items():
        runs = [results.runs(result)[run] for run in page["own"][cost]]
        assert len(runs) == 5 and {run["updates"] for run in runs} == {200_000}
        best = min(page["searched"][cost], key=page["searched"][cost].get)
        assert {run["learning_rate"] for run in runs} == {best}
    target = torch.eye(9, dtype=torch.float64)[:1]
    lengths = [backprop.COSTS[cost].delta(torch.zeros(1, 9, dtype=torch.float64), target).norm()
               for cost in ("cross_entropy", "quadratic")]  # fmt: skip
    assert lengths[0] > 5 * lengths[1]  # "the gradients have other lengths"


def test_claims_of_the_gradients_of_weights(value, page):
    assert abs(value["delta_fade"] - 10) < 0.5 and 0.5 < value["weight_percent"] < 2.05
    assert page["start"]["back_propagated_square"].shape[2] == 40
    assert 1_500 < value["sigmoid_fade"] < 2_500 and page["glued"]["about_sigmoid_fade"] == "2,000"
    below = page["pictures"].square().mean().sqrt()  # what comes from below, at layers 1 and 5
    fourth = np.sqrt((page["start"]["activation_std"][page["tanh"], 0, :, 3] ** 2).mean())
    assert abs(float(below) / fourth - 10) < 1
    sigmoids = page["start"]["activation_square"][page["sigmoid"], 0]
    assert abs(np.sqrt(sigmoids.mean()) - 0.5) < 0.02


def test_claims_of_the_healthy_histogram(value, page):
    assert abs(value["width_5"] / value["width_2"] - 1) < 0.02
    assert page["glued"]["about_trace_lost"] == "400" and value["trace_5"] < value["width_5"] / 1000
    assert not any(activations.get("sigmoid").saturated(z).any() for z in page["hidden"])


def test_claims_of_all_weights_zero(value, page):
    zero = page["zero"]
    assert not any(matrix.any() for matrix in zero.weights)
    assert not any(bias.any() for bias in zero.biases[:-1]) and zero.biases[-1].any()
    assert 0 < value["off_priors"] < 0.02 and zero.depth == 3
    # "the right answer for weights that are equal, but not 0"
    equal = models.MLP([1024, 20, 20, 20, 9], "tanh")
    for matrix in equal.weights:
        matrix.fill_(0.05)
    training.train(equal, shapeset.Stream(10, seed=0), 300, 0.1, progress=False)
    inner = equal.weights[1]
    assert abs(inner.mean() - 0.05) > 1e-4 and inner.std() < 1e-3 * inner.mean()


def test_claims_of_twelve_layers(value):
    assert value["below_12"] > 60 and value["largest_12"] > 5
    assert value["below_1"] < 7 and value["largest_1"] == pytest.approx(2)
    generator, n = torch.Generator().manual_seed(0), 300
    product = torch.eye(n, dtype=torch.float64)
    for _ in range(12):
        draw = torch.randn(n, n, generator=generator, dtype=torch.float64)
        product = product @ draw / n**0.5
    sampled = torch.linalg.svdvals(product)
    assert abs(float((sampled < 0.1).double().mean()) - value["below_12"] / 100) < 0.02
    assert (
        abs(sampled.max() / value["largest_12"] - 1) < 0.2 and (sampled > 1).double().mean() < 0.2
    )
    # "neither what the median direction keeps nor what the average squared length does"
    law = theory.ProductLaw(12)
    assert law.quantile(0.5) < value["mean_twelve"] / 2 and value["mean_twelve"] < 0.2
    assert abs(np.mean(np.log(sampled.numpy())) / 12 + 0.5) < 0.02  # the mean of the logarithms
    assert abs(value["mean_one"] - theory.SingularValueLaw(1000, 1000, 1 / 1000).mean) < 1e-6


def test_claims_of_six_standard_errors(value, page):
    assert round(value["points"] / value["error_pictures"]) == 6
    assert (
        value["error_seeds"] > 2.5 * value["error_pictures"]
        and value["points"] < 2 * value["error_seeds"]
    )
    assert value["turned_round"] == 1 and page["difference"].shape == (5, 10_000)


# ---- the page

_LACKING = not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
_LACKING |= not all(map(importlib.util.find_spec, ("playwright", "axe_playwright_python")))
if not _LACKING:
    import browser

    BUILT = browser.BOOK / "book" / "concepts.html"
    _LACKING = not BUILT.exists() and "BOOK_STATUS" not in os.environ
in_browser = pytest.mark.skipif(_LACKING, reason="no Chromium, or no book: run make book first")
WRONG = "".join("b" if letter == "a" else "a" for letter in RIGHT)
# The theme keeps its own there.
KEPT = "() => Object.keys(localStorage).filter((key) => key.includes('concept'))"
MARK, AGAIN = "Mark my answers", "Take it again, after the course"


@pytest.fixture(scope="module")
def chromium():
    with browser.chromium() as started:
        yield started


@pytest.fixture
def check(chromium):
    """The page, opened from its folder, with a memory of its own."""
    with browser.opened(chromium, BUILT.as_uri()) as opened:
        opened.locator("fieldset").first.wait_for()
        yield opened
        assert opened.seen == {"outside": [], "failed": [], "console": []}


def answer(page, choices):
    """Choose by pointer: a letter a question, "-" for not knowing, "." for leaving it open."""
    for box, letter in zip(page.locator(".concept").all(), choices, strict=True):
        if letter != ".":
            box.locator(f'label:has(input[value="{letter}"])').click()


def press(page, name):
    page.get_by_role("button", name=name).click()


def says(page, text):
    page.get_by_role("status").filter(has_text=text).wait_for()


def reload(page):
    """Load the page again, when a busy machine has had the time to store what was written."""
    page.wait_for_timeout(200)
    page.reload()
    page.locator(".concept-result .panel").wait_for()


def rows(page, number=0):
    """Return a table of the result, row by row."""
    table = page.locator(".concept-result table").nth(number)
    return [
        row.inner_text().replace("\u00a0", " ").split("\t")
        for row in table.locator("tbody tr").all()
    ]


def by_keyboard(page, choices):
    """Tab from the first question to the button, choosing on the way, and press it."""
    for letter in choices:
        page.keyboard.press("Space")
        for _ in range("abcd-".index(letter)):
            page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        while not page.evaluate("() => document.activeElement.matches('input, button')"):
            page.keyboard.press("Tab")  # past the equations of the next question, which can speak
    assert page.locator(":focus").inner_text() == MARK
    page.keyboard.press("Enter")


@in_browser
def test_before_and_after_by_keyboard(check):
    first = RIGHT[:4] + WRONG[4:8] + "--"  # 4 right
    check.locator(".concept input").first.focus()
    by_keyboard(check, first)
    says(check, "Marked: 4 of 10 are right.")
    assert check.evaluate("() => document.activeElement.className") == "panel"
    assert rows(check)[-1][:2] == ["All", "4 of 10"]

    reload(check)
    assert rows(check)[-1][:2] == ["All", "4 of 10"]
    kept = check.locator(".concept input:checked")
    assert [item.get_attribute("value") for item in kept.all()] == list(first)
    assert check.locator(".concept input:not([disabled])").count() == 0
    check.get_by_role("button", name=AGAIN).press("Enter")
    assert check.locator(".concept input:checked").count() == 0
    says(check, "open again")
    by_keyboard(check, RIGHT[:3] + WRONG[3] + RIGHT[4:9] + "-")  # 8 right, question 4 lost
    says(check, "Marked: 8 of 10 are right.")
    assert "(8 − 4)/(10 − 4) = 0.67" in check.locator(".gain").inner_text()

    reload(check)
    assert rows(check)[-1][:3] == ["All", "4 of 10", "8 of 10"]
    changes = [row[-1] for row in rows(check, 1)]
    assert changes == 3 * ["right both times"] + ["lost"] + 5 * ["gained"] + [
        "the same answer, not right"
    ]
    assert [row[3] for row in rows(check, 1)] == list(RIGHT)


@in_browser
def test_nothing_is_told_before_the_course(check):
    answer(check, RIGHT[:3] + "." + WRONG[4:9] + ".")
    press(check, MARK)
    says(check, "Still open: question 4, question 10.")
    assert check.evaluate("() => document.activeElement.name") == "concept-4-choice"
    answer(check, "..." + "-" + 5 * "." + "-")
    press(check, MARK)
    says(check, "Marked: 3 of 10")
    assert check.locator(".concept details:visible").count() == 0
    assert check.locator(".concept .option.right").count() == 0
    assert "right" not in check.locator(".told").all_inner_texts()
    # Lessons of the themes in which something was wrong, and no others
    for theme, score, links in rows(check)[:-1]:
        numbers = {n for q in QUESTIONS if q["theme"] == theme for n in q["lessons"].split(", ")}
        assert set(re.findall(r"\d+", links)) == (set() if score == "2 of 2" else numbers)
    press(check, "Show the explanations anyway")
    assert check.locator(".concept details:visible").count() == 10
    assert check.locator(".concept details[open]").count() == 7  # where the answer was not right
    press(check, AGAIN)
    assert check.locator(".concept details:visible").count() == 0
    answer(check, WRONG)
    press(check, MARK)
    says(check, "Marked: 0 of 10")
    assert "= −0.43. Fewer are right" in check.locator(".gain").inner_text()
    assert check.get_by_text("You had read the explanations").count() == 1


@in_browser
def test_no_gain_where_none_is_to_be_had(check):
    answer(check, RIGHT)
    press(check, MARK)
    press(check, AGAIN)
    answer(check, RIGHT)
    press(check, MARK)
    says(check, "Marked: 10 of 10")
    assert "nothing to gain" in check.locator(".gain").inner_text()
    assert check.locator(".concept .option.right").count() == 10
    marks = check.locator(".concept-result tbody a").all_inner_texts()
    assert not any(mark.startswith("lesson") for mark in marks)


@in_browser
def test_the_result_as_text(check, tmp_path):
    check.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer(check, WRONG)
    press(check, MARK)
    press(check, AGAIN)
    answer(check, RIGHT)
    press(check, MARK)
    check.locator(".hand-out summary").click()
    check.get_by_label("Your name or code").fill("=K-17")
    press(check, "Copy")
    says(check, "Copied.")
    text = check.evaluate("() => navigator.clipboard.readText()")
    assert text == check.get_by_label("Your result as text").input_value()
    with check.expect_download() as download:
        press(check, "Download")
    download.value.save_as(tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == text
    lines = text.rstrip("\n").split("\n")
    # No cell of a spreadsheet begins like a formula.
    assert lines[-1].split("\t") == ["K-17", "1", "0", "10", WRONG, RIGHT]
    assert "Normalised gain: 1.00" in lines and "Code: =K-17" in lines


@in_browser
def test_an_earlier_result_is_taken_over(check):
    """By someone who took the questions first on another machine."""
    answer(check, WRONG[:9] + "-")
    press(check, MARK)
    press(check, "Show the explanations anyway")
    text = check.get_by_label("Your result as text").input_value()
    check.evaluate("() => localStorage.clear()")
    reload(check)
    check.get_by_text("I have an earlier result as text").click()
    field = check.get_by_label("Paste the text here")
    cut = text.replace(" -\n", "\n")
    assert cut != text
    for other in ("", cut, text.replace("Edition: 1", "Edition: 2")):
        field.fill(other)
        press(check, "Take it over")
        says(check, "no result of these questions")
        check.evaluate("() => { document.querySelector('[role=status]').textContent = ''; }")
    field.fill(text)
    press(check, "Take it over")
    says(check, "is here again")
    reload(check)
    assert rows(check)[-1][:2] == ["All", "0 of 10"]
    assert check.get_by_label("Your result as text").input_value() == text


@in_browser
def test_erase(check):
    answer(check, WRONG)
    press(check, MARK)
    check.once("dialog", lambda dialog: dialog.dismiss())
    press(check, "Erase my answers")
    assert rows(check)[-1][:2] == ["All", "0 of 10"]
    check.once("dialog", lambda dialog: dialog.accept())
    press(check, "Erase my answers")
    says(check, "erased")
    assert check.locator(".concept input:checked").count() == 0
    assert check.evaluate(KEPT) == []
    reload(check)
    assert check.locator(".concept input:checked").count() == 0


@in_browser
def test_a_half_finished_set_is_kept_and_nonsense_is_not(check):
    answer(check, "ab" + 8 * ".")
    reload(check)
    assert check.locator(".concept input:checked").count() == 2
    (key,) = check.evaluate(KEPT)
    for nonsense in ('{"before": {"choices": ["a"], "when": "2026-01-01"}}', "{"):
        check.evaluate("([key, text]) => localStorage.setItem(key, text)", [key, nonsense])
        reload(check)
        assert check.get_by_text("0 of 10 answered").count() == 1, nonsense


@in_browser
def test_where_storage_is_refused_the_page_works_and_says_so(chromium):
    context = chromium.new_context(viewport=browser.DESK)
    context.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('refused'); } });"
    )
    with browser.opened(None, BUILT.as_uri(), context) as page:
        note = page.get_by_text("does not let the page remember")
        note.wait_for()
        answer(page, RIGHT)
        assert note.count() == 1
        press(page, MARK)
        says(page, "Marked: 10 of 10")
        assert note.count() == 1
        press(page, AGAIN)
        answer(page, WRONG)
        press(page, MARK)
        says(page, "Marked: 0 of 10")
    context.close()


@in_browser
def test_without_scripts_the_questions_and_folded_answers_are_there(chromium):
    with browser.opened(chromium, BUILT.as_uri(), java_script_enabled=False) as page:
        assert page.locator(".concept .choices li").count() == 40
        assert page.locator(".concept .choices li:visible").count() == 40
        folded = page.locator(".concept details")
        assert folded.count() == 10 and page.locator(".reasons:visible").count() == 0
        for letter, fold in zip(RIGHT, folded.all(), strict=True):
            fold.locator("summary").click()
            verdicts = fold.locator(".reasons li > p > strong:first-child").all_inner_texts()
            assert verdicts.index("Right.") == "abcd".index(letter) and len(verdicts) == 4
            assert verdicts.count("Wrong.") == 3
        assert page.get_by_text("Without JavaScript").is_visible()


@in_browser
def test_each_question_has_a_name_and_axe_finds_nothing(chromium):
    with browser.opened(chromium, BUILT.as_uri(), color_scheme="light") as page:
        group = page.get_by_role("group", name=re.compile("^Question 1: A grey card A fresh"))
        assert group.get_by_role("radio").count() == 5
        answer(page, WRONG)
        press(page, MARK)
        press(page, AGAIN)
        answer(page, RIGHT[:9] + "-")
        press(page, MARK)
        page.locator(".hand-out summary").click()
        for fold in page.locator(".concept details").all():
            fold.evaluate("(fold) => { fold.open = true; }")
        assert browser.axe(page) == []
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("() => document.documentElement.dataset.theme === 'dark'")
        page.wait_for_timeout(100)
        page.wait_for_function(browser.COLOURS_AT_REST)
        # axe leaves out the text of controls that are disabled, as ours are by now
        page.evaluate(
            "() => document.querySelectorAll('input').forEach((i) => { i.disabled = 0; })"
        )
        assert browser.axe(page, ["color-contrast", "link-in-text-block"]) == []
        page.set_viewport_size(browser.PHONE)
        page.wait_for_timeout(300)
        assert page.evaluate(browser.OVERFLOWING) == []
        assert browser.axe(page, ["scrollable-region-focusable"]) == []
        wide = "(e) => e.scrollWidth > e.clientWidth + 1"
        assert not any(e.evaluate(wide) for e in page.locator(".concept-table").all())


@in_browser
def test_paper_shows_questions_and_the_key_only_if_asked(check):
    answer(check, WRONG)
    press(check, MARK)
    press(check, "Show the explanations anyway")
    check.locator("#concept-key-switch").check()
    check.locator("#concept-key-switch").uncheck()
    check.emulate_media(media="print")
    shown = check.locator("main").inner_text()
    assert "Question 10: Six standard errors" in shown and "Name or code" in shown
    assert not re.search(
        r"Right is|Wrong\.|your answer|of 10$|Take it again|Print the key", shown, re.M
    )
    boxes = check.locator(".concept input:checked").first
    assert boxes.evaluate("(e) => getComputedStyle(e).appearance") == "none"
    plain = "(e) => getComputedStyle(e).borderTopWidth"
    assert check.locator(".concept .option.right").first.evaluate(plain) == "0px"
    assert not check.locator(".concept-key").is_visible()
    check.emulate_media(media="screen")
    assert not check.locator(".concept-key").is_visible()
    check.locator("#concept-key-switch").check()
    assert not check.locator(".concept-key").is_visible()
    check.emulate_media(media="print")
    key = check.locator(".concept-key tbody tr").all()
    assert "".join(row.locator("td").nth(1).inner_text() for row in key) == RIGHT
    assert "What to compute" not in check.locator("main").inner_text()


@in_browser
def test_style_and_script_are_loaded_on_this_page_only():
    assert "concepts.js" in BUILT.read_text(encoding="utf-8")
    assert "concepts.js" not in (browser.BOOK / "book/references.html").read_text(encoding="utf-8")
