"""`python -m training assets`: build the asset pack (furniture, surfaces, pictures) with the licence of every source."""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from training.asset_furniture import write_furniture
from training.asset_sources import unpack_sources
from training.asset_textures import write_textures

LICENCES = {
    "BlendSwap-CC-0": "CC0-1.0",
    "BlendSwap-CC-BY": "CC-BY-3.0",
    "KatorLegaz": "CC-BY-3.0-US (Andrew Kator, Jennifer Legaz)",
    "Reallusion": "CC-BY-3.0-US (Reallusion)",
    "Scopia": "CC-BY-3.0 (Scopia)",
    "sweethome3d": "GPL-2.0-or-later, some textures CC-BY-3.0 (eTeks)",
    "ufoai-textures": "GPL-2.0-or-later unless the package's copyright file names CC-BY-3.0 or CC-BY-SA-3.0 for the file",
    "lomiri-wallpapers-16.04": "CC-BY-4.0, CC-BY-SA-4.0 or CC0-1.0, per file in the package's copyright file",
    "lomiri-wallpapers-20.04": "CC-BY-SA-4.0, per file in the package's copyright file",
    "mate-backgrounds": "GPL-2.0-or-later",
    "plasma-workspace-wallpapers": "GPL-2.0-or-later; LGPL-3.0 or CC-BY-SA-4.0 in the wallpaper's own metadata",
    "robosuite": "MIT",
    "miniworld": "Apache-2.0; portraits are public-domain paintings",
    "gymnasium-robotics": "MIT, with the notices in its assets/LICENSE.md",
    "scikit-image": "BSD-3-Clause, public domain or CC0, per file in skimage/data",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder of the pack")
    parser.add_argument(
        "--raw", type=Path, default=None, help="folder of downloaded packages (default: OUT/raw)"
    )


def run(arguments: argparse.Namespace) -> int:
    unpacked = unpack_sources(arguments.raw or arguments.out / "raw")
    rows = write_textures(unpacked, arguments.out) + write_furniture(unpacked, arguments.out)
    with (arguments.out / "licences.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "source", "path", "split", "licence"))
        writer.writerows((*row, LICENCES[row[1]]) for row in rows)
    for (kind, split), count in sorted(Counter((Path(row[0]).parts[0], row[3]) for row in rows).items()):
        print(f"{kind} {split}: {count}")
    return 0
