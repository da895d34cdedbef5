"""The asset pack: every file under a name of its own, and nothing in two splits."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.asset_pack import sources
from training.asset_pack.textures import write_textures

FORMATS = ("1080x1920", "2560x1600", "5120x2880", "720x1440")


def wallpapers(root: Path, names: tuple[str, ...], formats: tuple[str, ...] = FORMATS) -> None:
    """Pictures that look like nothing else, each in several formats, as Plasma ships them."""
    rng = np.random.default_rng(1)
    for name in names:
        folder = root / "plasma-workspace-wallpapers" / "usr/share/wallpapers" / name / "contents/images"
        folder.mkdir(parents=True)
        for size in formats:
            cv2.imwrite(str(folder / f"{size}.png"), rng.integers(0, 256, (160, 160, 3), dtype=np.uint8))


def test_formats_of_one_wallpaper_stay_in_one_split_under_names_of_their_own(tmp_path: Path):
    names = ("Altai", "Autumn", "Canopee", "Cascade", "Flow", "Honeywave", "IceCold", "Kay", "Opal", "Shell")
    wallpapers(tmp_path, names)
    rows = write_textures(tmp_path, tmp_path / "pack")
    files = {row[0] for row in rows}
    assert len(rows) == len(files) == len(names) * len(FORMATS)
    assert files == {p.relative_to(tmp_path / "pack").as_posix() for p in tmp_path.glob("pack/**/*.jpg")}
    splits = {name: {split for *_, source, split in rows if f"/{name}/" in source} for name in names}
    assert all(len(found) == 1 for found in splits.values())
    assert len(set.union(*splits.values())) > 1


def test_what_an_earlier_split_shows_is_left_out(tmp_path: Path):
    rng = np.random.default_rng(2)
    folder = tmp_path / "ufoai-textures" / "tex_misc"
    folder.mkdir(parents=True)
    poster = np.zeros((160, 160))
    cv2.circle(poster, (60, 100), 40, 120, -1)
    for i in range(30):
        # Noise in the dark, which says nothing of what is shown, differs from file to file.
        image = np.clip(poster * rng.uniform(0.7, 1.5) + rng.normal(8, 3, poster.shape), 0, 255)
        cv2.imwrite(str(folder / f"adverta{i:02d}.png"), image.astype(np.uint8))
    rows = write_textures(tmp_path, tmp_path / "pack")
    assert len(rows) > 15
    assert {split for *_, split in rows} == {"train"}
    files = {p.relative_to(tmp_path / "pack").as_posix() for p in tmp_path.glob("pack/**/*.jpg")}
    assert files == {row[0] for row in rows}


def test_an_interrupted_package_is_unpacked_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "DEBIAN_PACKAGES", ())
    monkeypatch.setattr(sources, "PYTHON_PACKAGES", ("surfaces==1.0",))
    with zipfile.ZipFile(tmp_path / "surfaces-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("one.txt", "1")
        wheel.writestr("two.txt", "2")
    whole = zipfile.ZipFile.extractall

    def interrupted(self: zipfile.ZipFile, path: Path) -> None:
        self.extract("one.txt", path)
        raise KeyboardInterrupt

    monkeypatch.setattr(zipfile.ZipFile, "extractall", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sources.unpack_sources(tmp_path)
    monkeypatch.setattr(zipfile.ZipFile, "extractall", whole)
    unpacked = sources.unpack_sources(tmp_path)
    assert sorted(path.name for path in unpacked.glob("*/*")) == ["one.txt", "two.txt"]


def test_a_second_file_of_one_name_is_an_error(tmp_path: Path):
    wallpapers(tmp_path, ("Altai",), ("1", "1_1"))
    folder = next(tmp_path.glob("**/images"))
    (folder / "1_1.png").rename(folder / "1.jpeg")
    with pytest.raises(FileExistsError, match=r"Altai-1\.jpg"):
        write_textures(tmp_path, tmp_path / "pack")
