"""The licence of every file in the pack, read from its package's own statements where these name files."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

GENERAL = {
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0 (authors in the model's folder)",
    "KatorLegaz": "CC-BY-3.0-US (Andrew Kator, Jennifer Legaz)",
    "Reallusion": "CC-BY-3.0-US (Reallusion)",
    "Scopia": "CC-BY-3.0 (Scopia, eTeks)",
    "sweethome3d": "GPL-2.0-or-later, some CC-BY-3.0 (eTeks)",
    "robosuite": "MIT",
    "miniworld": "Apache-2.0; the portraits are paintings in the public domain",
    "gymnasium-robotics": "MIT and Apache-2.0 (assets/LICENSE.md)",
    "scikit-image": "public domain or CC0-1.0 (skimage.data)",
}


def licence_of(unpacked: Path, source: str, path: str) -> str:
    """The licence of one source file of a package or catalogue."""
    if source in GENERAL:
        return GENERAL[source]
    wallpaper = next((p for p in (unpacked / source / path).parents if (p / "metadata.json").exists()), None)
    if wallpaper is not None:
        return str(json.loads((wallpaper / "metadata.json").read_text())["KPlugin"].get("License", "GPL-2+"))
    found = "unknown"
    for patterns, licence in _debian_paragraphs(unpacked / source / "usr/share/doc" / source / "copyright"):
        if any(_names(pattern, path) for pattern in patterns):
            found = licence  # the last paragraph that matches counts: Debian's machine-readable copyright format 1.0
    return found


def _names(pattern: str, path: str) -> bool:
    """Whether a Files pattern means an installed file; packages move files, so a plain name counts wherever it is."""
    return fnmatch("/" + path, "*/" + pattern) if "*" in pattern else Path(path).name == Path(pattern).name


@lru_cache(maxsize=16)
def _debian_paragraphs(copyright_file: Path) -> list[tuple[list[str], str]]:
    """(file patterns, licence) of every Files paragraph."""
    paragraphs = []
    for text in copyright_file.read_text(errors="replace").split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in text.splitlines():
            if line[:1].strip() and ":" in line:
                name, _, line = line.partition(":")
            fields[name] = fields.get(name, "") + " " + line
        if "Files" in fields and "License" in fields:
            paragraphs.append((fields["Files"].split(), fields["License"].split()[0]))
    return paragraphs
