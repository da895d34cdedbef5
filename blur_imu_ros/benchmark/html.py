"""A report in one file that can be read without anything else: tables and plots."""

from __future__ import annotations

import base64
import io
import mimetypes
import re
from html import escape
from pathlib import Path

from .charts import Drawing

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1200px; margin: 2em auto; padding: 0 1em; color: #30343f; }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: .35em .7em; text-align: right; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
"""


def write_html(
    path: Path, title: str, about: str, tables: dict[str, str], failures: str, drawings: list[Drawing]
) -> None:
    """Write Markdown tables by their title, a list of failures, and drawings, under a heading and a paragraph."""
    body = [f"<h1>{escape(title)}</h1>", f"<p>{_inline(about)}</p>"]
    body += [f"<h2>{escape(name)}</h2>\n{_table(table)}" for name, table in tables.items()]
    if failures:
        items = "".join(f"<li>{_inline(line.removeprefix('- '))}</li>" for line in failures.split("\n"))
        body.append(f"<h2>Failures</h2>\n<ul>{items}</ul>")
    body += [f"<h2>{escape(drawing.caption)}</h2>\n{_image(drawing)}" for drawing in drawings]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    path.write_text(
        f"<!doctype html><html><head>{head}</head><body>\n{chr(10).join(body)}\n</body></html>\n",
        encoding="utf-8",
    )


def _table(markdown: str) -> str:
    header, _, *rows = (
        [_inline(cell.strip()) for cell in line.strip("| ").split(" | ")] for line in markdown.split("\n")
    )
    lines = ["".join(f"<th>{cell}</th>" for cell in header)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _inline(text: str) -> str:
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def _image(drawing: Drawing) -> str:
    data = io.BytesIO()
    drawing.figure.savefig(data, format=Path(drawing.file).suffix[1:], dpi=90)
    text = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(drawing.caption)}" src="data:{mimetypes.guess_type(drawing.file)[0]};base64,{text}">'
