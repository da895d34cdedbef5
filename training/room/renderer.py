"""Headless OpenGL renderer of rooms: scene-linear colour (multisampled) and metric depth of one pinhole view."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from blur_imu_ros.errors import ConfigurationError
from training.imaging.poses import look_along, world_to_camera
from training.room import shaders
from training.room.scene import MAX_LIGHTS, Light, Scene

NEAR_M, FAR_M = 0.05, 40.0
SHADOW_TILE, SHADOW_TILES = 512, 4
SAMPLES = 4
EGL_HELP = "no EGL context: install libegl1 and libgl1-mesa-dri (Debian, Ubuntu), and `pip install moderngl`"


def projection(focal_px: float, width: int, height: int) -> np.ndarray:
    """4x4 clip matrix for the optical frame (x right, y down, z forward), principal point at the image centre.

    Clip y is flipped so that row 0 of what is read back is the top row.
    """
    a, b = (FAR_M + NEAR_M) / (FAR_M - NEAR_M), -2 * FAR_M * NEAR_M / (FAR_M - NEAR_M)
    x, y = 2 * focal_px / width, 2 * focal_px / height
    return np.array([[x, 0, 0, 0], [0, y, 0, 0], [0, 0, a, b], [0, 0, 1, 0]], np.float32)


def _light_matrix(light: Light) -> np.ndarray:
    side = 2 * SHADOW_TILE
    focal = side / 2 / np.tan(np.radians(light.cone_deg / 2))
    pose = look_along(np.array(light.position), np.array(light.direction))
    return projection(focal, side, side) @ world_to_camera(pose)


class _Targets(NamedTuple):
    """Textures of one image size, and the frame buffers that draw into them."""

    depth: Any
    rough: Any
    smooth: Any
    resolved: Any
    to_depth: Any
    to_rough: Any
    to_smooth: Any
    to_resolved: Any
    to_colour: Any


class Renderer:
    """Owns one OpenGL context: `load` a scene, then `render` views. Raises ConfigurationError without EGL."""

    def __init__(self) -> None:
        try:
            import moderngl

            self._context: Any = moderngl.create_standalone_context(backend="egl")  # type: ignore[arg-type]
        except Exception as error:  # the binding raises whatever the driver stack throws
            raise ConfigurationError(f"{EGL_HELP} ({error})") from error
        self._gl = moderngl
        context: Any = self._context
        self._colour = context.program(
            vertex_shader=shaders.VERTEX, fragment_shader=shaders.COLOUR.replace("%d", str(MAX_LIGHTS), 1)
        )
        self._depth = context.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.DEPTH)
        self._shadow = context.program(vertex_shader=shaders.SHADOW_VERTEX, fragment_shader=shaders.SHADOW)
        self._occlusion = context.program(vertex_shader=shaders.SCREEN, fragment_shader=shaders.OCCLUSION)
        self._smooth = context.program(vertex_shader=shaders.SCREEN, fragment_shader=shaders.SMOOTH)
        corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._screen_occlusion = context.vertex_array(self._occlusion, [(corners, "2f", "in_corner")])
        self._screen_smooth = context.vertex_array(self._smooth, [(corners, "2f", "in_corner")])
        atlas = SHADOW_TILE * SHADOW_TILES
        self._shadow_map = context.depth_texture((atlas, atlas))
        self._shadow_map.compare_func = "<="
        self._shadow_target = context.framebuffer(depth_attachment=self._shadow_map)
        self._targets: dict[tuple[int, int], _Targets] = {}
        self._scene_objects: list = []

    def load(self, scene: Scene) -> None:
        """Upload a scene and draw its shadow maps; replaces the one before."""
        for item in self._scene_objects:
            item.release()
        context = self._context
        vertex = np.concatenate(
            (scene.position, scene.normal, scene.uv, scene.material[:, None].astype(np.float32)), axis=1
        )
        buffer = context.buffer(np.ascontiguousarray(vertex, np.float32).tobytes())
        layout = "3f 3f 2f 1f"
        names = ("in_position", "in_normal", "in_uv", "in_material")
        self._colour_array = context.vertex_array(self._colour, [(buffer, layout, *names)])
        self._depth_array = context.vertex_array(
            self._depth, [(buffer, "3f 12x 2f 1f", "in_position", "in_uv", "in_material")]
        )
        shadow_array = context.vertex_array(self._shadow, [(buffer, "3f 24x", "in_position")])
        layers = np.ascontiguousarray(scene.layers[:, ::-1])
        side = layers.shape[1]
        self._layers = context.texture_array((side, side, len(layers)), 4, layers.tobytes())
        self._layers.build_mipmaps()
        self._layers.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
        rows = np.ascontiguousarray(scene.materials.reshape(-1, 12), np.float32)
        self._materials = context.texture((3, len(rows)), 4, rows.tobytes(), dtype="f4")
        self._materials.filter = (self._gl.NEAREST, self._gl.NEAREST)
        self._scene_objects = [
            self._colour_array,
            self._depth_array,
            shadow_array,
            buffer,
            self._layers,
            self._materials,
        ]
        self._draw_shadows(scene, shadow_array)
        self._set_lights(scene)

    def _draw_shadows(self, scene: Scene, array: Any) -> None:
        target = self._shadow_target
        target.use()
        target.viewport = (0, 0, *self._shadow_map.size)
        target.clear(depth=1.0)
        self._context.enable_only(self._gl.DEPTH_TEST)
        for k, light in enumerate(scene.lights):
            x, y = (k % SHADOW_TILES) * SHADOW_TILE, (k // SHADOW_TILES) * SHADOW_TILE
            target.viewport = (x, y, SHADOW_TILE, SHADOW_TILE)
            self._shadow["light"].write(_light_matrix(light).T.astype("f4").tobytes())
            array.render(vertices=scene.casters)

    def _set_lights(self, scene: Scene) -> None:
        padding = MAX_LIGHTS - len(scene.lights)
        values = {
            "light_position": [light.position for light in scene.lights] + [(0, 0, 0)] * padding,
            "light_direction": [light.direction for light in scene.lights] + [(0, 0, 1)] * padding,
            "light_intensity": [light.intensity for light in scene.lights] + [(0, 0, 0)] * padding,
            "light_parallel": [float(light.parallel) for light in scene.lights] + [0.0] * padding,
        }
        for name, value in values.items():
            self._colour[name].write(np.array(value, "f4").tobytes())
        matrices = [_light_matrix(light).T for light in scene.lights] + [np.eye(4)] * padding
        self._colour["light_matrix"].write(np.array(matrices, "f4").tobytes())
        self._colour["lights"].value = len(scene.lights)
        self._colour["ambient"].value = scene.ambient

    def _target(self, width: int, height: int) -> _Targets:
        if (width, height) not in self._targets:
            context, half = self._context, ((width + 1) // 2, (height + 1) // 2)
            depth = context.texture((width, height), 1, dtype="f4")
            rough, smooth = context.texture(half, 1, dtype="f1"), context.texture(half, 1, dtype="f1")
            for texture in (depth, rough, smooth):
                texture.repeat_x = texture.repeat_y = False
            depth.filter = (self._gl.NEAREST, self._gl.NEAREST)
            resolved = context.texture((width, height), 4, dtype="f2")
            self._targets[width, height] = _Targets(
                depth, rough, smooth, resolved,
                context.framebuffer([depth], context.depth_renderbuffer((width, height))),
                context.framebuffer([rough]), context.framebuffer([smooth]), context.framebuffer([resolved]),
                context.framebuffer([context.renderbuffer((width, height), 4, samples=SAMPLES, dtype="f2")],
                                    context.depth_renderbuffer((width, height), samples=SAMPLES)),
            )  # fmt: skip
        return self._targets[width, height]

    def render(
        self, pose: np.ndarray, focal_px: float, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the loaded scene from camera-to-world `pose` (4x4, optical frame).

        Returns scene-linear colour float32 [H,W,3] and depth along z float32 [H,W] in metres (FAR_M where empty).
        """
        depth = self.depth(pose, focal_px, width, height)
        targets = self._target(width, height)
        self._draw_occlusion(targets, (width / 2 / focal_px, height / 2 / focal_px))
        self._look(self._colour, pose, focal_px, width, height)
        self._context.enable_only(self._gl.DEPTH_TEST)
        self._bind(
            self._colour,
            layers=self._layers,
            materials=self._materials,
            shadows=self._shadow_map,
            occlusion=targets.smooth,
        )
        self._colour["eye"].value = tuple(float(p) for p in pose[:3, 3])
        self._colour["size"].value = (float(width), float(height))
        targets.to_colour.use()
        targets.to_colour.clear(0, 0, 0, 1, depth=1.0)
        self._colour_array.render()
        self._context.copy_framebuffer(targets.to_resolved, targets.to_colour)
        colour = np.frombuffer(targets.resolved.read(), np.float16).reshape(height, width, 4)
        return colour[..., :3].astype(np.float32), depth

    def depth(self, pose: np.ndarray, focal_px: float, width: int, height: int) -> np.ndarray:
        """The depth of `render` alone, in less than a tenth of its time."""
        targets = self._target(width, height)
        self._look(self._depth, pose, focal_px, width, height)
        self._context.enable_only(self._gl.DEPTH_TEST)
        self._bind(self._depth, layers=self._layers, materials=self._materials)
        targets.to_depth.use()
        targets.to_depth.clear(FAR_M, depth=1.0)
        self._depth_array.render()
        return np.frombuffer(targets.depth.read(), np.float32).reshape(height, width).copy()

    def _draw_occlusion(self, targets: _Targets, tangent: tuple[float, float]) -> None:
        """Ambient occlusion of the depth drawn last, half its size; tangent: half width and height of the image at z = 1."""
        self._context.enable_only(self._gl.NOTHING)
        self._bind(self._occlusion, depths=targets.depth)
        self._occlusion["tangent"].value = tangent
        targets.to_rough.use()
        self._screen_occlusion.render(self._gl.TRIANGLE_STRIP)
        self._bind(self._smooth, source=targets.rough, depths=targets.depth)
        targets.to_smooth.use()
        self._screen_smooth.render(self._gl.TRIANGLE_STRIP)

    @staticmethod
    def _look(program: Any, pose: np.ndarray, focal_px: float, width: int, height: int) -> None:
        program["view"].write(world_to_camera(pose).T.astype("f4").tobytes())
        program["projection"].write(projection(focal_px, width, height).T.astype("f4").tobytes())

    @staticmethod
    def _bind(program: Any, **textures: Any) -> None:
        for unit, (name, texture) in enumerate(textures.items()):
            texture.use(unit)
            program[name].value = unit
