"""Surfaces and pictures of the asset pack: which file of which package is what, sorted into disjoint splits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.asset_pack.split import Split, split_of

# Longest side in pixels; photographs stay large because they also serve as flat scenes.
LONGEST_SIDE = {"photograph": 2000}
SURFACE_SIDE = 1024
NEAR_DUPLICATE_BITS = 5
# Grey levels of a thumbnail of so many pixels that correlate by more are of one picture, whatever its brightness. It sees what
# those bits miss where a picture is dark; they go on to say which split is whose, as the networks that ship learnt from it.
THUMBNAIL, SAME_PICTURE = 24, 0.96


@dataclass(frozen=True)
class TextureRule:
    """Files of one package whose path matches are surfaces of one kind."""

    package: str
    pattern: str
    kind: str


_UFO = "ufoai-textures"
RULES = (
    TextureRule(_UFO, r"tex_buildings/carpet0(28|29|3\d)", "floor"),
    TextureRule(_UFO, r"tex_buildings/(carpet|jap_carpet)", "rug"),
    TextureRule(_UFO, r"tex_buildings/(floor|tile0|paving|sidewalk|sfloor)", "floor"),
    TextureRule(_UFO, r"tex_buildings/(woodceiling|wizwood|wall_wood)", "wood"),
    TextureRule(
        _UFO, r"tex_buildings/(concrete0|wall|cementwall|japwall00[346]|e8crete03|surface2|wallpaper)", "wall"
    ),
    TextureRule(_UFO, r"tex_buildings/(ceiling|metceil)", "ceiling"),
    TextureRule(_UFO, r"tex_buildings/(metal0|mtl_gray|met_panel|pewter|clangdark)", "metal"),
    TextureRule(_UFO, r"tex_buildings/japwall0(01|08|09|10)|tex_pics/|tex_misc/advert(a|b)", "picture"),
    TextureRule(
        _UFO,
        r"tex_material/(wood|s_wood)|tex_furniture/(table|wardrobe|chest|locker)|tex_misc/laminate",
        "wood",
    ),
    TextureRule(_UFO, r"tex_material/metal", "metal"),
    TextureRule(_UFO, r"tex_material/(conc|shell|blue_gray|red_gray|green_gray)", "wall"),
    TextureRule(_UFO, r"tex_furniture/(textil|seat|couch|bed|clothes|basket)|tex_misc/straw", "fabric"),
    TextureRule(_UFO, r"tex_misc/(books|bookshelf|dvds0)", "books"),
    TextureRule(
        _UFO, r"tex_misc/(box0|boxen|soft_drinks|dvd_|container|barrel|crate|drawer|microwave|fridge)", "box"
    ),
    TextureRule(_UFO, r"tex_doors/", "door"),
    TextureRule(_UFO, r"tex_(nature|dirt|terrain)/.*(grass|sand|rock|stone|gravel|bark)", "general"),
    TextureRule("sweethome3d", r"resources/textures/.*([Ww]ood|parquet|[Pp]lank|birch|oak)", "wood"),
    TextureRule(
        "sweethome3d", r"resources/textures/.*([Ww]all|[Bb]rick|[Cc]oat|[Pp]ebble|[Rr]oughcast)", "wall"
    ),
    TextureRule("sweethome3d", r"resources/textures/.*([Tt]il|[Cc]arpet|[Mm]arble|[Ff]loor)", "floor"),
    TextureRule("robosuite", r"assets/textures/.*(plaster|bricks)", "wall"),
    TextureRule("robosuite", r"assets/textures/.*(wood)", "wood"),
    TextureRule("robosuite", r"assets/textures/.*floor-tile", "floor"),
    TextureRule("robosuite", r"assets/textures/.*felt", "fabric"),
    TextureRule("robosuite", r"assets/textures/.*(steel|metal|brass)", "metal"),
    TextureRule("robosuite", r"assets/textures/(cereal|can|soda|bread|lemon)", "box"),
    TextureRule("robosuite", r"assets/textures/(ceramic|clay|dirt)", "general"),
    TextureRule("miniworld", r"textures/portraits/", "picture"),
    TextureRule("miniworld", r"textures/(brick_wall|stucco|drywall|concrete_\d|cinder|rock|white)", "wall"),
    TextureRule("miniworld", r"textures/(floor_tiles|concrete_tiles|marble|asphalt)", "floor"),
    TextureRule("miniworld", r"textures/ceiling", "ceiling"),
    TextureRule("miniworld", r"textures/cardboard", "box"),
    TextureRule("miniworld", r"textures/door_(steel|garage)", "door"),
    TextureRule("miniworld", r"textures/(wood_|picket)", "wood"),
    TextureRule("miniworld", r"textures/metal_grill", "metal"),
    TextureRule("gymnasium-robotics", r"textures/(wood|darkwood)", "wood"),
    TextureRule("gymnasium-robotics", r"textures/(marble|tile|white_marble)", "floor"),
    TextureRule("gymnasium-robotics", r"textures/(metal|silver|foil)", "metal"),
    TextureRule("scikit-image", r"data/(brick|gravel|grass)\.png", "general"),
    TextureRule(
        "scikit-image",
        r"data/(astronaut|chelsea|coffee|rocket|camera|hubble|retina)",
        "photograph",
    ),
    TextureRule("scikit-image", r"data/(page|text|coins|moon)\.png", "picture"),
    TextureRule("lomiri-wallpapers-16.04", r"backgrounds/(?!umang|analog).*\.jpg", "photograph"),
    TextureRule("lomiri-wallpapers-20.04", r"backgrounds/(Kleiber)", "photograph"),
    TextureRule("mate-backgrounds", r"mate/nature/", "photograph"),
    TextureRule(
        "plasma-workspace-wallpapers",
        r"(BytheWater|ColdRipple|ColorfulCups|DarkestHour|EveningGlow|FallenLeaf|Grey|Kite|OneStandsOut|Path|Volna|summer_1am)"
        r"/contents/images/",
        "photograph",
    ),
    TextureRule(
        "plasma-workspace-wallpapers",
        r"(Altai|Autumn|Canopee|Cascade|Flow|Honeywave|IceCold|Kay|Opal|Patak|SafeLanding|Shell)/contents/images/",
        "picture",
    ),
)
# normal maps and the like, and surfaces that no room has
_MAPS = re.compile(r"_(nm|sm|gm|rm|dm|hm)\.|broken|broke\.|_sign|stripe", re.I)
# one picture in several formats: NAME/contents/images/SIZE
_WALLPAPER = re.compile(r"([^/]+)/contents/images/")


def write_textures(unpacked: Path, pack: Path) -> list[tuple[str, str, str, str]]:
    """Write pack/textures/<split>/<kind>/<name>.jpg; returns rows (file in the pack, package, source path, split).

    All formats of a wallpaper go where the first of them goes; what looks like one of the train split, or, in the test split,
    of the validation split, is left out. Raises FileExistsError where two files would have one name.
    """
    rows: list[tuple[str, str, str, str]] = []
    signatures: list[tuple[int, Split]] = []
    wallpapers: dict[str, Split] = {}
    written: dict[Path, np.ndarray] = {}
    taken: set[Path] = set()
    for rule in RULES:
        for path, relative in _matching(unpacked / rule.package, rule.pattern):
            image = None if path in taken else _read(path, rule.kind)
            if image is None:
                continue
            taken.add(path)
            split, repeated = _split_by_look(image, relative, signatures)
            if repeated and rule.kind == "photograph":
                continue
            wallpaper = _WALLPAPER.search(relative)
            if wallpaper:
                split = wallpapers.setdefault(wallpaper[1], split)
            group = wallpaper[1] if wallpaper else path.parent.name
            name = f"{rule.package}-{group}-{path.stem}.jpg".replace(" ", "_")
            target = pack / "textures" / split.value / rule.kind / name
            if target in written:
                raise FileExistsError(f"{target}: a second file of this name, {relative} of {rule.package}")
            written[target] = _thumbnail(image)
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
            rows.append((target.relative_to(pack).as_posix(), rule.package, relative, split.value))
    shared = _seen_in_an_earlier_split([row[3] for row in rows], np.array(list(written.values())))
    for row in shared:
        (pack / rows[row][0]).unlink()
    return [row for i, row in enumerate(rows) if i not in shared]


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """Grey levels of the shrunk image, of mean zero and length one."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel().astype(float)
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _seen_in_an_earlier_split(splits: list[str], thumbnails: np.ndarray) -> set[int]:
    """Which of the textures look like one of a split before theirs; thumbnails [n, pixels]."""
    order = np.array([[split.value for split in Split].index(split) for split in splits])
    alike = thumbnails @ thumbnails.T > SAME_PICTURE
    return set(np.flatnonzero((alike & (order[:, None] > order)).any(axis=1)).tolist())


def _matching(root: Path, pattern: str) -> Iterator[tuple[Path, str]]:
    """Pictures of a package whose path below its root matches, in order, with that path."""
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root).as_posix()
        picture = path.suffix.lower() in (".jpg", ".png", ".jpeg") and not path.is_symlink()
        if picture and re.search(pattern, relative) and not _MAPS.search(path.name):
            yield path, relative


def _read(path: Path, kind: str) -> np.ndarray | None:
    """The image on mid grey where transparent, shrunk to its longest side, BGR; None where too small or featureless."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim not in (2, 3) or min(image.shape[:2]) < 128:
        return None
    if image.dtype != np.uint8:
        image = (image // 257).astype(np.uint8)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 4:
        if image[..., 3].mean() < 230:
            return None
        image = np.ascontiguousarray(image[..., :3])
    scale = LONGEST_SIDE.get(kind, SURFACE_SIDE) / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return image


def _split_by_look(image: np.ndarray, name: str, seen: list[tuple[int, Split]]) -> tuple[Split, bool]:
    """A near duplicate follows the first of its look, so that no split sees a variant of another one's texture."""
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(
        int
    )
    bits = int("".join("1" if b else "0" for b in (small[:, 1:] > small[:, :-1]).ravel()), 2)
    for other, split in seen:
        if (bits ^ other).bit_count() <= NEAR_DUPLICATE_BITS:
            return split, True
    split = split_of(name)
    seen.append((bits, split))
    return split, False
