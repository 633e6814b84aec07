"""A run's report: one HTML file that needs nothing beside it and asks the network for nothing."""

import base64
import json
import re
import struct
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from convnets.files import write_atomically

NUMBER = re.compile(r"[-+−±]?[\d.,]+(e[-+]?\d+)?\s?(%|±.*)?|nan|–|-|", re.IGNORECASE)

LARGE_PICTURE = 1000  # pixels wide

Table = tuple[str, Sequence[str], Sequence[Sequence[str]]]

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --card: #f5f7fa; --ink: #1f2933; --muted: #616e7c;
  --line: #d9dee4; --accent: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --card: #1d232a; --ink: #e4e7eb; --muted: #9aa5b1;
    --line: #343c46; --accent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 3rem) 4rem; }
h1 { font-size: clamp(1.5rem, 4vw, 2.2rem); line-height: 1.2; margin: 0 0 1.5rem; padding-bottom: .8rem;
  border-bottom: 3px solid var(--accent); overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .8rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(max(9.5rem, 17%), 1fr)); gap: .6rem;
  margin: 0; }
dl div { background: var(--card); border-radius: 8px; padding: .6rem .9rem; }
dt { font-size: .8rem; color: var(--muted); }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.notes { margin: 1.2rem 0 0; padding: .7rem 1rem .7rem 2rem; background: var(--card);
  border-left: 3px solid var(--accent); border-radius: 0 8px 8px 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .4rem .9rem; text-align: left; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; background: var(--card); font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 0 0 1.5rem; }
figure .card { background: #ffffff; border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  overflow-x: auto; }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto; }
figcaption { font-size: .9rem; color: var(--muted); margin-top: .4rem; }
@media (max-width: 40rem) { figure img.wide { max-width: none; width: 44rem; } }
details { border: 1px solid var(--line); border-radius: 8px; margin-top: 2.5rem; }
summary { cursor: pointer; padding: .7rem 1rem; font-weight: 600; }
pre { margin: 0; padding: .2rem 1rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.45; }
@media print { .scroll, figure .card { overflow: visible; } figure, table { break-inside: avoid; } }
"""


def write_report(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, str],
    tables: Sequence[Table],
    pictures: Sequence[tuple[str, Path]],
    config: Mapping[str, Any],
    notes: Sequence[str] = (),
) -> None:
    """Writes the report to `path`, atomically.

    The page forbids itself every request by a content security policy, so that it stays self-contained whatever is put
    in it.

    Args:
      facts: the run in a few words, shown at the top, such as `{"top-1 error": "8.31 %"}`.
      tables: (heading, header, rows), all text; columns of numbers are aligned to the right.
      pictures: (caption, PNG file), to be embedded.
      config: the resolved configuration, nested; shown folded at the end.
      notes: sentences to be read before the results.
    """
    parts = [f"<h1>{escape(title)}</h1>", _facts(facts), _notes(notes)]
    parts += [_table(*table) for table in tables]
    if pictures:
        parts.append("<h2>Pictures</h2>")
        parts += [_picture(*picture) for picture in pictures]
    if config:
        text = escape(json.dumps(config, indent=2, ensure_ascii=False, default=str))
        parts.append(f"<details><summary>Configuration</summary><pre>{text}</pre></details>")
    body = "\n".join(part for part in parts if part)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    page = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
    write_atomically(path, page.encode())


def _facts(facts: Mapping[str, str]) -> str:
    items = [f"<div><dt>{escape(name)}</dt><dd>{escape(str(fact))}</dd></div>" for name, fact in facts.items()]
    return "\n".join(["<dl>", *items, "</dl>"]) if items else ""


def _notes(notes: Sequence[str]) -> str:
    items = [f"<li>{escape(note)}</li>" for note in notes]
    return "\n".join(['<ul class="notes">', *items, "</ul>"]) if items else ""


def _table(heading: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    numeric = [bool(rows) and all(NUMBER.fullmatch(str(row[i]).strip()) for row in rows) for i in range(len(header))]
    marks = [' class="number"' if number else "" for number in numeric]
    head = "".join(f'<th scope="col"{mark}>{escape(name)}</th>' for name, mark in zip(header, marks, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{mark}>{escape(str(cell))}</td>" for cell, mark in zip(row, marks, strict=True)) + "</tr>"
        for row in rows
    ]
    body = "\n".join(lines)
    return (
        f'<h2>{escape(heading)}</h2>\n<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _picture(caption: str, picture: Path) -> str:
    content = picture.read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    # Large pictures scroll on a narrow screen, where shrinking them would make their text unreadable.
    wide = ' class="wide"' if width > LARGE_PICTURE else ""
    data = base64.b64encode(content).decode()
    return (
        f'<figure><div class="card"><img{wide} width="{width}" height="{height}" alt="{escape(caption)}" '
        f'src="data:image/png;base64,{data}"></div><figcaption>{escape(caption)}</figcaption></figure>'
    )
