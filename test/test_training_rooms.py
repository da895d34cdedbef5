"""Rooms and their renderer, on a small pack of shapes and textures made here."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from blur_imu_ros.errors import ConfigurationError
from blur_imu_ros.sequence import Sequence
from training import __main__ as training
from training import keyframes, sequences
from training.asset_pack.furniture import CatalogueEntry, read_catalogue, write_model
from training.asset_pack.licences import licence_of
from training.asset_pack.pack import Pack
from training.asset_pack.split import Split, split_of
from training.asset_pack.wavefront import load_obj
from training.imaging.keyframe import FULL_SCALE, load_keyframe
from training.imaging.posed_rgbd import displacement
from training.imaging.poses import moved
from training.imaging.sensor import draw_sensor
from training.room.rooms import build_room
from training.room.scene import Light, Material, SceneBuilder
from training.room.shapes import box, placed

KINDS = ("wall", "floor", "wood", "fabric", "general", "picture", "photograph", "box")
CUBE = """mtllib cube.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
vt 0 0
vt 1 0
vt 1 1
usemtl red
f 1/1 4/2 3/3 2/3
f 5/1 6/2 7/3 8/3
f 1/1 2/2 6/3 5/3
f -1/1 -2/2 -6/3 -5/3
usemtl glass
f 1/1 5/2 8/3 4/3
f 2/1 3/2 7/3 6/3
"""


@pytest.fixture(scope="module")
def renderer():
    try:
        from training.room.renderer import Renderer

        return Renderer()
    except ConfigurationError as error:
        pytest.skip(str(error))


def _write_cube(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cube.obj").write_text(CUBE)
    (folder / "cube.mtl").write_text("newmtl red\nKd 1 0 0\nnewmtl glass\nKd 0 0 1\nd 0.2\n")
    return folder / "cube.obj"


@pytest.fixture(scope="module")
def pack_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pack")
    rng = np.random.default_rng(0)
    cube = _write_cube(folder / "source")
    for split in Split:
        for kind in KINDS:
            for number in range(2):
                path = folder / "textures" / split.value / kind / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), rng.integers(0, 255, (64, 64, 3), dtype=np.uint8))
        for name, size in (
            ("Table", (1.2, 0.75, 0.7)),
            ("Chair", (0.5, 0.9, 0.5)),
            ("Cup", (0.1, 0.12, 0.1)),
        ):
            entry = CatalogueEntry(name, "Office", cube, size, np.eye(3))
            # a cube stretched to these sizes is far from its own proportions, which the tolerance would drop
            assert write_model(
                entry, folder / "furniture" / split.value / f"{name}.npz", split, {}, tolerance=100.0
            )
    return folder


def test_obj_polygons_and_negative_indices_become_triangles(tmp_path):
    mesh = load_obj(_write_cube(tmp_path))
    assert mesh.corners.shape == (12, 3, 3)
    assert (mesh.corners.min(), mesh.corners.max()) == (0, 1)
    assert np.array_equal(np.bincount(mesh.material), [8, 4])
    assert [m.opacity for m in mesh.materials] == [1.0, 0.2]
    assert mesh.materials[0].colour == (1.0, 0.0, 0.0)


def test_catalogue_sizes_are_read_in_metres_and_missing_models_left_out(tmp_path):
    _write_cube(tmp_path / "m")
    (tmp_path / "c.properties").write_text(
        "id=x\nname#1=Desk\ncategory#1=Office\nmodel#1=/m/cube.obj\nwidth#1=120\ndepth#1=60\nheight#1=75\n"
        "name#2=Gone\ncategory#2=Office\nmodel#2=/m/none.obj\nwidth#2=1\ndepth#2=1\nheight#2=1\n"
    )
    (entry,) = read_catalogue(tmp_path / "c.properties", tmp_path)
    assert entry.name == "Desk"
    assert entry.size == pytest.approx((1.2, 0.75, 0.6))


def test_model_survives_quantisation_at_its_catalogue_size(pack_folder):
    table = next(m for m in Pack(pack_folder, Split.TRAIN).furniture if m.name == "Table")
    extent = table.corners.max(axis=(0, 1)) - table.corners.min(axis=(0, 1))
    assert extent == pytest.approx((1.2, 0.75, 0.7), abs=1e-4)
    assert table.corners[..., 1].min() == pytest.approx(0, abs=1e-6)


def test_splits_follow_the_name_and_cover_all_three():
    names = [f"model{k}" for k in range(2000)]
    counts = {split: sum(split_of(n) is split for n in names) for split in Split}
    assert all(split_of(n) is split_of(n) for n in names[:50])
    assert 1500 < counts[Split.TRAIN] < 1700
    assert min(counts.values()) > 150


def test_licences_come_from_the_paragraph_that_names_the_file(tmp_path):
    paragraphs = (("*", "GPL-2+"), ("\n 16.04/a.jpg\n b-*.jpg", "CC0-1.0"), ("debian/*", "Expat"))
    text = "\n".join(f"Files: {files}\nLicense: {licence}\n" for files, licence in paragraphs)
    statement = tmp_path / "some-package/usr/share/doc/some-package/copyright"
    statement.parent.mkdir(parents=True)
    statement.write_text(text)
    named = {
        n: licence_of(tmp_path, "some-package", f"usr/share/{n}")
        for n in ("a.jpg", "b-1.jpg", "c.jpg", "debian/x")
    }
    assert named == {"a.jpg": "CC0-1.0", "b-1.jpg": "CC0-1.0", "c.jpg": "GPL-2+", "debian/x": "Expat"}
    assert licence_of(tmp_path, "robosuite", "any.png") == "MIT"


def test_a_folder_without_a_pack_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="training assets"):
        Pack(tmp_path, Split.TRAIN)


def test_rooms_repeat_by_index_and_differ_between_splits(pack_folder):
    train, test = Pack(pack_folder, Split.TRAIN), Pack(pack_folder, Split.TEST)
    first, again, other = build_room(train, 3), build_room(train, 3), build_room(test, 3)
    assert np.array_equal(first.scene.position, again.scene.position)
    assert np.array_equal(first.scene.layers, again.scene.layers)
    assert first.size != other.size
    assert min(first.size[:2]) >= 2.5
    assert 2.3 <= first.size[2] <= 3.2


def test_depth_of_a_known_box_and_its_shadow(renderer):
    from training.imaging.poses import look_along

    builder = SceneBuilder()
    white = builder.material(Material((0.5, 0.5, 0.5)))
    builder.add(*box((8, 8, 0.1)), white)
    builder.add(*placed(box((1.0, 1.0, 1.0)), (0, 0, 0.1)), white)
    builder.lights.append(Light((0.0, 3.0, 3.0), (0.0, -0.7071, -0.7071), (9.0, 9.0, 9.0)))
    renderer.load(builder.build((0.05, 0.05, 0.05)))
    pose = look_along(np.array([0.0, -3.0, 0.6]), np.array([0.0, 1.0, 0.0]))
    colour, depth = renderer.render(pose, 40.0, 64, 48)
    assert colour.shape == (*depth.shape, 3) == (48, 64, 3)
    assert depth[24, 32] == pytest.approx(2.5, abs=1e-3)
    # a floor point straight below the optical axis: row r sees z = 0.1 at depth 0.5 * f / (r - 23.5)
    assert depth[44, 4] == pytest.approx(0.5 * 40 / (44 - 23.5), abs=2e-3)
    shadowed, lit = colour[44, 32].mean(), colour[40, 3].mean()
    assert lit > 2 * shadowed > 0


def test_pixel_positions_match_the_pinhole_model(renderer):
    from training.imaging.poses import look_along

    builder = SceneBuilder()
    builder.add(*placed(box((0.4, 0.02, 0.3)), (0.5, 0.0, 0.2)), builder.material(Material(emission=1.0)))
    renderer.load(builder.build((0.0, 0.0, 0.0)))
    depth = renderer.render(
        look_along(np.array([0.0, -2.0, 0.0]), np.array([0.0, 1.0, 0.0])), 100.0, 128, 96
    )[1]
    rows, columns = np.nonzero(depth < 10)
    left, right = columns.min() - 63.5, columns.max() - 63.5  # the outermost pixel centres inside the box
    assert left - 1 < 100 * 0.3 / 1.99 <= left + 1e-3
    assert right - 1e-3 <= 100 * 0.7 / 1.99 < right + 1
    assert 47.5 - rows.max() == pytest.approx(100 * 0.2 / 2.0, abs=1.0)  # world up is image up


def test_key_frames_are_written_and_read_back(renderer, pack_folder, tmp_path):
    room = build_room(Pack(pack_folder, Split.VALIDATION), 1)
    renderer.load(room.scene)
    rng = np.random.default_rng(0)
    (pose,) = keyframes.camera_poses(room, renderer, rng, 1)
    assert np.all((pose[:3, 3] > 0) & (pose[:3, 3] < room.size))
    colour, depth = renderer.render(pose, 40.0, 64, 48)
    keyframes.save_view(
        tmp_path / "v.npz", keyframes.exposed(colour, rng), depth, pose, 1, Split.VALIDATION, 40.0
    )
    key = load_keyframe(tmp_path / "v.npz")
    assert key.focal_px == 40.0
    assert 1 / key.inverse_depth == pytest.approx(depth, rel=2e-3)
    light = key.colour.astype(float) * FULL_SCALE / 65535
    assert 0.02 < np.exp(np.log(light + 1e-3).mean()) < 1.0
    assert not list(tmp_path.glob("*.tmp"))


def test_a_room_that_was_interrupted_is_drawn_anew(renderer, pack_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(keyframes, "WIDTH", 96)
    monkeypatch.setattr(keyframes, "HEIGHT", 72)
    monkeypatch.setattr(keyframes, "FOCAL_PX", 60.0)
    save, saved = keyframes.save_view, []

    def draw(out: Path) -> list[bytes]:
        out.mkdir(exist_ok=True)
        keyframes._write_rooms(pack_folder, Split.VALIDATION, 3, 0, out, [1])
        return [np.load(path)["colour"].tobytes() for path in sorted(out.glob("*.npz"))]

    def save_one(*arguments) -> None:
        if saved:
            raise KeyboardInterrupt
        saved.append(arguments)
        save(*arguments)

    whole = draw(tmp_path / "whole")
    assert len(whole) == 3
    with monkeypatch.context() as interrupted:
        interrupted.setattr(keyframes, "save_view", save_one)
        with pytest.raises(KeyboardInterrupt):
            draw(tmp_path / "again")
    assert draw(tmp_path / "again") == whole


def test_the_benchmark_s_sequences_are_made_by_one_command(renderer, pack_folder: Path, tmp_path: Path):
    tiny = ["--size", "64", "48", "--clips", "1", "--clip-frames", "1"]
    words = ["sequences", "--pack", str(pack_folder), "--out", str(tmp_path), "--kind", "benchmark", *tiny]
    assert training.main(words) == 0
    for kind in sequences.BENCHMARK_SEEDS:
        found = Sequence.load(tmp_path / kind)
        assert len(found.frames) == 1
        assert np.isfinite(found.truth).all()


def test_clips_follow_each_other_with_a_gap(renderer, pack_folder: Path, tmp_path: Path):
    words = ["--kind", "mixed", "--size", "64", "48", "--clips", "2", "--clip-frames", "2"]
    out = ["--pack", str(pack_folder), "--out", str(tmp_path / "s")]
    assert training.main(["sequences", *out, *words]) == 0
    sequence = Sequence.load(tmp_path / "s")
    gap_s = 1 / sequences.RATE_HZ + sequences.CLIP_GAP_S
    intervals_s = np.diff(sequence.stamps_ns) * 1e-9
    np.testing.assert_allclose(intervals_s, [1 / sequences.RATE_HZ, gap_s, 1 / sequences.RATE_HZ], atol=1e-6)
    first, again, second, _ = (frame.exposure_s for frame in sequence.frames)
    assert first == again != second
    assert all(0.005 <= exposure_s <= 0.020 for exposure_s in (first, second))
    assert all(frame.depth for frame in sequence.frames)


def test_motion_is_as_strong_and_as_steady_as_its_kind_says():
    kind = sequences.KINDS["wheels"]
    kind = replace(kind, lever_arm_m=(0.0, 0.0, 0.0))
    step_s = sequences.CORRELATION_S / 4
    twists = sequences.smooth_twists(np.random.default_rng(0), kind, 20_000, step_s)
    strength = twists.std(axis=0)
    np.testing.assert_allclose(strength, [*kind.angular_rad_s, *kind.linear_m_s], rtol=0.1)
    later = (twists[4:] * twists[:-4]).mean(axis=0) / strength**2
    np.testing.assert_allclose(later, np.exp(-0.5), atol=0.05)


def test_a_clip_moves_as_its_truth_says():
    kind = sequences.KINDS["standard"]
    shots = [*sequences.clip_shots(np.random.default_rng(0), kind, np.eye(4), 8)]
    assert len(shots) == 8
    for before, after in pairwise(shots):
        rate = displacement(before.pose, after.pose) * sequences.RATE_HZ
        np.testing.assert_allclose(rate, (before.twist + after.twist) / 2, atol=0.05)
        change = (after.twist - before.twist) * sequences.RATE_HZ
        np.testing.assert_allclose(change, (before.twist_rate + after.twist_rate) / 2, atol=1.5)


def test_a_photograph_is_the_mean_of_what_each_row_sees_over_its_exposure(renderer, pack_folder: Path):
    room = build_room(Pack(pack_folder, Split.VALIDATION), 1)
    renderer = type(
        renderer
    )()  # a later one, as the tests before made, takes the place of an earlier one's context
    renderer.load(room.scene)
    rng = np.random.default_rng(0)
    (pose,) = keyframes.camera_poses(room, renderer, rng, 1)
    none = ("defocus", "vignetting", "shot", "noise_grain", "contrast", "sharpening", "black")
    none += ("luma_softening", "chroma_softening")
    linear = {**dict.fromkeys(none, 0.0), "read": 1e-6, "gamma": 1.0, "white": 1.0}
    sensor = replace(draw_sensor(rng, dark=False), **linear, mono=False, jpeg_quality=0)
    twist, rate = np.array([1.0, -2.0, 1.5, 0.3, 0.2, 0.4]), np.array([0.0, 40.0, 0.0, 0.0, 0.0, 0.0])
    size, exposure_s, readout_s = sequences.CameraSize(160, 120, 127.5), 0.02, 0.04

    def photograph(shot: sequences.Shot, readout_s: float) -> tuple[np.ndarray, np.ndarray]:
        camera = sequences.ClipCamera(size, sensor, exposure_s, readout_s)
        return sequences.photograph(renderer, shot, camera, rng)

    def still(time_s: float) -> tuple[np.ndarray, np.ndarray]:
        there = moved(pose, twist * time_s + rate * time_s**2 / 2)
        return photograph(sequences.Shot(there, np.zeros(6), np.zeros(6)), 0.0)

    image, depth = photograph(sequences.Shot(pose, twist, rate), readout_s)
    true_depth = renderer.depth(pose, size.focal_px, size.width, size.height)
    assert np.median(np.abs(still(0.0)[1] / true_depth - 1)) < 0.01
    for first_row, middle in ((15, 20 / 120 - 0.5), (55, 0.0), (95, 100 / 120 - 0.5)):
        part = np.s_[first_row : first_row + 10, 20:-20]
        instants = [still(middle * readout_s + share * exposure_s) for share in np.linspace(-0.4, 0.4, 5)]
        mean = np.mean([instant[part] for instant, _ in instants], axis=0)
        sharp, sharp_depth = (seen[part] for seen in instants[2])
        assert np.abs(image[part] - mean).mean() < 0.3 * np.abs(sharp - mean).mean()
        assert np.abs(depth[part] / sharp_depth - 1).mean() < 0.02


def test_a_camera_on_an_arm_steps_as_it_turns():
    kind = replace(sequences.KINDS["arm"], linear_m_s=0.0)
    twists = sequences.smooth_twists(np.random.default_rng(0), kind, 20, 0.01)
    np.testing.assert_allclose(twists[:, 3:], np.cross(twists[:, :3], kind.lever_arm_m), atol=1e-12)
