"""Pages of HTML that stand alone: they load nothing, run nothing, and follow light and dark."""

import html

# Whatever a page should still hold by mistake: nothing is fetched from anywhere, no script runs.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --paper: #ffffff; --soft: #f1f3f5;
  --line: #8a9099; --good: #116329; --bad: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #15181c; --soft: #23282e;
  --line: #7d8590; --good: #7ee2a0; --bad: #ffb0a8; } }
body { color: var(--ink); background: var(--paper); font: 1rem/1.55 system-ui, sans-serif;
  margin: 0 auto; max-width: 50rem; padding: 1rem; overflow-wrap: anywhere; }
h1, h2, h3 { line-height: 1.25; } h2 { margin-top: 2.5rem; } h3 { font-size: 1rem; }
pre { background: var(--soft); padding: .75rem; white-space: pre-wrap; font-size: .875rem; }
table { border-collapse: collapse; margin: 1rem 0; } caption { text-align: start; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; text-align: start; }
th[scope="col"], td.number { overflow-wrap: normal; }
td.number { text-align: end; font-variant-numeric: tabular-nums; } img { max-width: 100%; }
blockquote { border-inline-start: .25rem solid var(--line); margin: 1rem 0; padding: 0 1rem; }
.wide { overflow-x: auto; }
.answer { background: var(--soft); padding: .1rem .75rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
"""


def escape(text):
    """Return a text as HTML shows it; control characters, which no page may hold, are gone."""
    kept = (c for c in str(text) if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160))
    return html.escape("".join(kept))


def page(title, body):
    """Return a whole page in English, its title also the first heading."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</main>\n</body>\n</html>\n"
    )


def table(caption, columns, rows):
    """Return a table whose first column names its rows; on a phone it scrolls by itself."""

    def cell(value):
        number = isinstance(value, (int, float))
        text = f"{round(value, 2):g}" if isinstance(value, float) else escape(value)
        return f'<td class="number">{text}</td>' if number else f"<td>{text}</td>"

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    lines = (
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(cell, rest))}</tr>'
        for name, *rest in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}">\n'
        f"<table>\n<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        "<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>\n</div>"
    )
