"""The files that describe the repository say what is in it."""

import pathlib
import re

import yaml

import course_lib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_gives_this_version_and_the_paper():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == course_lib.__version__
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Glorot", "Bengio"]
    assert (paper["year"], paper["start"], paper["end"]) == (2010, 249, 256)


def test_the_changelog_begins_with_this_version():
    assert re.search(r"^## (\S+)", text("CHANGELOG.md"), re.M)[1] == course_lib.__version__


def test_the_licence_names_all_three_licences():
    for name in ("BSD 3-Clause", "creativecommons.org/licenses/by/4.0", "publicdomain/zero/1.0"):
        assert name in text("LICENSE")


def test_the_notice_names_every_vendored_file():
    vendor = ROOT / "book" / "static" / "vendor"
    folders = {f"book/static/vendor/{path.name}" for path in vendor.iterdir() if path.is_dir()}
    assert folders, "nothing is vendored, so NOTICE has nothing to say"
    missing = [folder for folder in sorted(folders) if folder not in text("NOTICE")]
    assert not missing, f"NOTICE does not name {', '.join(missing)}"


def test_every_hook_before_a_commit_works_offline():
    hooks = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"]
    languages = {hook["language"] for hook in hooks[0]["hooks"]}
    assert languages <= {"system", "pygrep", "fail"}  # these install nothing
