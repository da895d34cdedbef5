"""Furniture of the asset pack: catalogue models at their real size, quantised, one npz per model."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.asset_pack.split import Split, split_of
from training.asset_pack.wavefront import TriangleMesh, load_obj

MAX_TRIANGLES = 20_000
LARGEST_MODEL_M = 4.5
EXTENT_TOLERANCE = 0.05
TEXTURE_SIDE = 512
EXCLUDED = re.compile(
    r"car\b|bus\b|truck|sedan|peugeot|renault|chevrolet|focus|biplane|swimming|hedge|light source|rails|sidewalk|"
    r"lamppost|street|garage|staircase|escalator|elevator|door|window|curtain|fence|railing|parking|crossing|arrow|pine|"
    r"beech|poplar|acacia|coconut|maple|cypress|scooter|yamaha|motorbike|leon|suv|van\b|beetle|smart car|hut|tent|"
    r"container|pool\b|goal|fountain|rowboat|column|living room|frame|shutter|service hatch|mower|fork lift|jacuzzi|"
    r"park |sandpit|island|triangle|rock",
    re.I,
)
_ENTRY = re.compile(rb"^(\w+)#(\d+)=(.*)$")


@dataclass(frozen=True)
class CatalogueEntry:
    """One catalogue line group; sizes in metres: width along x, depth along z, height along y of the model."""

    name: str
    category: str
    model: Path
    size: tuple[float, float, float]
    rotation: np.ndarray


def read_catalogue(properties: Path, root: Path) -> list[CatalogueEntry]:
    """Entries of a catalogue properties file whose models lie under `root`."""
    fields: dict[int, dict[str, str]] = {}
    for line in properties.read_bytes().splitlines():
        match = _ENTRY.match(line)
        if match:
            fields.setdefault(int(match[2]), {})[match[1].decode()] = match[3].decode("latin-1").strip()
    entries = []
    for entry in fields.values():
        model = root / entry.get("model", "").lstrip("/")
        if not model.is_file() or not {"width", "depth", "height", "category"} <= entry.keys():
            continue
        rotation = np.array(
            [float(x) for x in entry.get("modelRotation", "1 0 0 0 1 0 0 0 1").split()]
        ).reshape(3, 3)
        width, height, depth = (float(entry[key]) / 100 for key in ("width", "height", "depth"))
        entries.append(
            CatalogueEntry(entry["name"], entry["category"], model, (width, height, depth), rotation)
        )
    return entries


def write_furniture(unpacked: Path, pack: Path) -> list[tuple[str, str, str, str]]:
    """Write pack/furniture/<split>/<name>.npz; returns rows (file in the pack, catalogue, model path, split)."""
    rows: list[tuple[str, str, str, str]] = []
    seen: set[str] = set()
    owner: dict[str, Split] = {}
    catalogues = sorted(unpacked.rglob("PluginFurnitureCatalog.properties"))
    catalogues += sorted(unpacked.rglob("DefaultFurnitureCatalog.properties"))
    for properties in catalogues:
        root = next(p for p in properties.parents if p.name.endswith(".content"))
        for entry in read_catalogue(properties, root):
            content = hashlib.sha256(entry.model.read_bytes()).hexdigest()
            if (
                content in seen
                or entry.category in ("Exterior", "Vehicles", "Staircases")
                or EXCLUDED.search(entry.name)
            ):
                continue
            seen.add(content)
            relative = entry.model.relative_to(root).as_posix()
            split = split_of(relative)
            target = pack / "furniture" / split.value / f"{root.stem}-{entry.model.stem}.npz"
            if write_model(entry, target, split, owner):
                rows.append((target.relative_to(pack).as_posix(), root.stem, relative, split.value))
    return rows


def write_model(
    entry: CatalogueEntry,
    target: Path,
    split: Split,
    owner: dict[str, Split],
    tolerance: float = EXTENT_TOLERANCE,
) -> bool:
    """Write one model; False where it is unreadable, too large, too fine or disagrees with its catalogue size.

    `owner` remembers which split first used a texture file (by content).
    """
    try:
        mesh = load_obj(entry.model)
    except (ValueError, IndexError):
        return False
    if len(mesh.corners) > MAX_TRIANGLES or max(entry.size) > LARGEST_MODEL_M:
        return False
    points = mesh.corners @ entry.rotation.T.astype(np.float32)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    extent = np.maximum(high - low, 1e-6)
    stretch = np.array(entry.size) / extent
    if stretch.max() / stretch.min() > (1 + tolerance) ** 2 and min(entry.size) > 0.02:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    arrays = _quantised(entry, mesh, (points - low) / extent, split, owner)
    np.savez_compressed(target, allow_pickle=False, **arrays)
    return True


def _quantised(
    entry: CatalogueEntry, mesh: TriangleMesh, unit: np.ndarray, split: Split, owner: dict[str, Split]
) -> dict[str, np.ndarray]:
    """Arrays of one model whose corners `unit` [T,3,3] fill the unit cube."""
    quantised = np.round(unit * 65535).astype(np.uint16)
    near = mesh.texture - np.floor(
        mesh.texture.min(axis=1, keepdims=True)
    )  # whole repeats away, so that float16 is enough
    vertices = np.concatenate(
        (quantised.reshape(-1, 3), np.clip(near, 0, 1000).reshape(-1, 2).astype(np.float16).view(np.uint16)),
        axis=1,
    )
    unique, index = np.unique(vertices, axis=0, return_inverse=True)
    colours, opacity, layers, images = _appearance(mesh, split, owner)
    return {
        "vertices": unique[:, :3],
        "uv": np.ascontiguousarray(unique[:, 3:]).view(np.float16),
        "triangles": index.reshape(-1, 3).astype(np.uint32),
        "material": mesh.material.astype(np.uint8),
        "colour": colours,
        "opacity": opacity,
        "layer": layers,
        "images": images,
        "size": np.array(entry.size, np.float32),
        "name": np.array(entry.name),
        "category": np.array(entry.category),
    }


def _appearance(mesh: TriangleMesh, split: Split, owner: dict[str, Split]) -> tuple[np.ndarray, ...]:
    """Material colours [M,3], opacity [M], texture layer per material (-1: none), textures uint8 [L,S,S,4] RGBA.

    A texture first used by another split's model is left out, so that splits share none.
    """
    layers: list[int] = []
    images: list[np.ndarray] = []
    known: dict[str, int] = {}
    for material in mesh.materials:
        layer = -1
        if material.texture is not None:
            content = hashlib.sha256(material.texture.read_bytes()).hexdigest()
            image = cv2.imread(str(material.texture), cv2.IMREAD_UNCHANGED)
            if content not in known and image is not None and owner.setdefault(content, split) is split:
                known[content] = len(images)
                images.append(_square_rgba(image))
            layer = known.get(content, -1)
        layers.append(layer)
    colours = np.array([m.colour for m in mesh.materials], np.float32)
    opacity = np.array([m.opacity for m in mesh.materials], np.float32)
    empty = np.zeros((0, 1, 1, 4), np.uint8)
    side = max((i.shape[0] for i in images), default=1)
    same = [cv2.resize(i, (side, side), interpolation=cv2.INTER_AREA) for i in images]
    return colours, opacity, np.array(layers, np.int16), np.stack(same) if same else empty


def _square_rgba(image: np.ndarray) -> np.ndarray:
    """Any image file content as RGBA uint8 of a square power-of-two side of at most TEXTURE_SIDE."""
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.dtype != np.uint8:
        image = (image // 257).astype(np.uint8)
    if image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2BGRA)
    side = min(TEXTURE_SIDE, 1 << max(5, int(np.ceil(np.log2(max(image.shape[:2]))))))
    return cv2.cvtColor(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), cv2.COLOR_BGRA2RGBA)
