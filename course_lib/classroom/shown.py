"""What a student's notebook holds, as a page may show it: words, and pictures that only are seen.

Tags become text, links become words. A picture is shown if it is one of a few kinds, is small
enough and begins as its kind does; it stands in the page itself, so that nothing is fetched.
"""

import base64
import binascii
import html
import html.parser
import re

from course_lib.classroom import pages

# Characters of one text, bytes of one picture, and how many pictures one text may have.
TEXT_LIMIT, PICTURE_LIMIT, PICTURE_COUNT = 10_000, 3 * 2**20, 12
# Kinds of pictures, and what the bytes of each begin with.
PICTURES = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
}
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\].*?(?:\x07|\x1b\\)|.)", re.S)
_DRAWING = re.compile(r"<svg\b.*</svg>", re.S)
# A picture written into the text itself, as some notebook tools do.
_WRITTEN = re.compile(r"\(data:(image/\w+);base64,([A-Za-z0-9+/=\s]*)\)")


def plain(text):
    """Return a text without the codes that colour it in a terminal."""
    return _TERMINAL.sub("", text)


def short(text):
    """Return a text, the middle of a long one left out."""
    if len(text) <= TEXT_LIMIT:
        return text
    half = TEXT_LIMIT // 2
    left_out = f"\n\n[... {len(text) - 2 * half} characters left out ...]\n\n"
    return text[:half] + left_out + text[-half:]


class _Words(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.silent = [], 0

    def handle_starttag(self, tag, attributes):
        self.silent += tag in ("script", "style")

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style") and self.silent > 0

    def handle_data(self, data):
        if not self.silent:
            self.found.append(data)


def words(page):
    """Return the words of HTML, without scripts and styles."""
    parser = _Words()
    parser.feed(page)
    return " ".join(" ".join(parser.found).split())


# ---- pictures


def picture(kind, data, alt):
    """Return a picture as HTML, or in words why it is not shown.

    Parameters
    ----------
    kind : str, such as "image/png";  data : str, base64;  alt : str
    """
    data = "".join(data.split())
    if kind not in PICTURES:
        return _not_shown(alt, f"pictures of the kind {kind} are not shown")
    if len(data) > PICTURE_LIMIT * 4 // 3 + 4:
        return _not_shown(alt, f"it is larger than {PICTURE_LIMIT >> 20} MB")
    try:
        begins = base64.b64decode(data, validate=True)[:16]
    except (binascii.Error, ValueError):
        begins = b""
    if not re.match(PICTURES[kind], begins, re.S):
        return _not_shown(alt, f"it is damaged, or no {kind.removeprefix('image/').upper()}")
    return f'<img src="data:{kind};base64,{data}" alt="{pages.escape(alt)}">'


def _not_shown(alt, why):
    return f"<em>[picture: {pages.escape(alt)}; {pages.escape(why)}]</em>"


def drawing(page):
    """Return the SVG in HTML, from the first to the last one; an empty text if there is none."""
    found = _DRAWING.search(page[:PICTURE_LIMIT])
    return found[0] if found else ""


def picture_of_drawing(svg, alt):
    """Return an SVG of a cell's output as HTML: as a picture it runs no script and fetches nothing.

    Its own label, if it has one, takes the place of `alt`.
    """
    label = re.search(r'aria-label="([^"]*)"', svg)
    alt = html.unescape(label[1]) if label else alt
    inside = base64.b64encode(svg.encode()).decode()
    return f'<img src="data:image/svg+xml;base64,{inside}" alt="{pages.escape(alt)}">'


# ---- text with pictures in it


def markdown(text, attachments=None):
    """Return Markdown as HTML: tags as text, headings as paragraphs, links as words.

    Pictures that are attached, or written into the text, are shown (`picture`); one from elsewhere
    is named. Formulas stay as they were typed.

    Parameters
    ----------
    text : str;  attachments : dict, optional
        As a notebook has it: name of a file to kind to base64.
    """
    import mistune

    attached = dict(_attached(attachments))

    def put_aside(found):  # before a long text is cut
        name = f"written-{len(attached)}"
        attached[name] = (found[1], found[2])
        return f"(attachment:{name})"

    text = _WRITTEN.sub(put_aside, text)
    seen = []

    class Quiet(mistune.HTMLRenderer):
        def heading(self, text, level, **attrs):
            return f"<p><strong>{text}</strong></p>\n"

        def link(self, text, url, title=None):
            return f"{text} ({pages.escape(url)})"

        def image(self, text, url, title=None):
            place, _, name = url.partition(":")
            name = _unquoted(name)
            alt = words(text) or title or name
            if place != "attachment" or name not in attached:
                return f"[picture: {pages.escape(alt)}]"
            seen.append(name)
            if len(seen) > PICTURE_COUNT:
                return _not_shown(alt, f"a text shows {PICTURE_COUNT} pictures at most")
            return picture(*attached[name], alt)

        def block_code(self, code, info=None):
            return f"<pre><code>{pages.escape(code)}</code></pre>\n"

    clean = plain(short(text))
    clean = "".join(c for c in clean if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160))
    page = mistune.create_markdown(renderer=Quiet(escape=True))(clean).strip()
    if left := [name for name in dict(_attached(attachments)) if name not in seen]:
        page += (
            f"\n<p><em>[attached, but not in the text: {pages.escape(', '.join(left))}]</em></p>"
        )
    return page


def _unquoted(name):
    """Return a name as it was before a link was made of it: a space for %20."""
    found = re.sub(rb"%([0-9A-Fa-f]{2})", lambda code: bytes([int(code[1], 16)]), name.encode())
    return found.decode(errors="replace")


def _attached(attachments):
    """Yield name and (kind, base64) of each attachment; a picture that can be shown comes first."""
    for name, kinds in (attachments if isinstance(attachments, dict) else {}).items():
        kinds = kinds if isinstance(kinds, dict) else {}
        known = [kind for kind in kinds if isinstance(kinds[kind], str)]
        known.sort(key=lambda kind: kind not in PICTURES)
        if known:
            yield name, (known[0], kinds[known[0]])
