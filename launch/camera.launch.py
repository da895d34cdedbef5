"""Run the node beside a camera driver: topics and parameters as arguments, a parameter file for whatever they leave out.

Include it once per camera, each with its own `namespace`.
"""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, OpaqueFunction, TimerAction
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from blur_imu_ros.live.settings import FIELDS, from_text, plain
from launch import LaunchContext, LaunchDescription

# Topics of the node, to remap: argument -> (default, description).
TOPICS = {
    "image": ("image", "Topic of the images; in full, with /compressed, where they are compressed."),
    "camera_info": ("camera_info", "Topic of the camera's calibration."),
    "exposure": ("exposure", "Topic of the exposure times, where exposure_type is set."),
}
# Parameters of the node: argument -> description. Those left empty come from params_file, else the node's defaults.
PARAMETERS = {name: item.metadata["meaning"] for name, item in FIELDS.items()} | {
    "use_sim_time": "Take the time from /clock: true, false."
}
# Arguments that are neither: argument -> (default, description).
OTHERS = {
    "namespace": ("", "Namespace of the node; one per camera."),
    "params_file": ("", "YAML file with parameters; config/camera.yaml shows them all."),
    "log_level": ("info", "debug, info, warn or error."),
    "respawn": ("true", "Start the node again when it dies: true, false."),
}
RESPAWN_DELAY_S = 1.0
# What the node ends with where a parameter cannot be used: again it would be the same.
REFUSED = 2


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    arguments = {**TOPICS, **{name: ("", text) for name, text in PARAMETERS.items()}, **OTHERS}
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[LifecycleNode]:
    values = {name: LaunchConfiguration(name).perform(context) for name in (*TOPICS, *PARAMETERS, *OTHERS)}
    given = {name: _typed(name, values[name]) for name in PARAMETERS if values[name]}
    file = values["params_file"]
    if file and not Path(file).is_file():
        raise ValueError(f"params_file:={file}: there is no such file")
    respawn = _typed("respawn", values["respawn"])

    def again(event: ProcessExited, context: LaunchContext) -> list[TimerAction] | None:
        if not respawn or event.returncode == REFUSED or context.is_shutdown:
            return None
        return [TimerAction(period=RESPAWN_DELAY_S, actions=[node()])]

    def node() -> LifecycleNode:
        return LifecycleNode(
            package="blur_imu_ros",
            executable="blur_imu_node",
            name="blur_imu",
            namespace=values["namespace"],
            parameters=[source for source in (file, given) if source],
            remappings=[(name, values[name]) for name in TOPICS],
            arguments=["--ros-args", "--log-level", values["log_level"]],
            output="screen",
            on_exit=again,
        )

    return [node()]


def _typed(name: str, text: str) -> object:
    """Return an argument's text in the type of its parameter. Raises ConfigurationError or ValueError, naming it."""
    if name in FIELDS:
        return plain(from_text(FIELDS[name], text))
    if text.lower() not in ("true", "false"):
        raise ValueError(f"{name}:={text}: give true or false")
    return text.lower() == "true"
