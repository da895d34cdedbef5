"""`python -m training assets`: build the asset pack (furniture, surfaces, pictures) with every file's licence."""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from training.asset_pack.furniture import write_furniture
from training.asset_pack.licences import licence_of
from training.asset_pack.sources import unpack_sources
from training.asset_pack.textures import write_textures


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
        writer.writerows((*row, licence_of(unpacked, row[1], row[2])) for row in rows)
    for (kind, split), count in sorted(Counter((Path(row[0]).parts[0], row[3]) for row in rows).items()):
        print(f"{kind} {split}: {count}")
    return 0
