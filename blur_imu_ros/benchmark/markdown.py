"""Sections of a document that a command owns and rewrites; all other text is the reader's."""

from __future__ import annotations

from pathlib import Path


def write_section(path: Path, name: str, text: str) -> None:
    """Replace what stands between `<!-- begin NAME -->` and `<!-- end NAME -->`, or append both with the text."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    section = f"{begin}\n\n{text}\n\n{end}"
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    appended = f"{old.rstrip()}\n\n{section}\n".lstrip()
    new = before + section + after if found and closed else appended
    path.write_text(new, encoding="utf-8")
