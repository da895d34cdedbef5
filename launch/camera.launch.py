"""Run the node beside a camera driver: arguments for what differs between robots, a parameter file for the rest.

Include it once per camera, each with its own `namespace`.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription

# Topics of the node, to remap: argument -> (default, description).
TOPICS = {
    "image": ("image", "Topic of the images."),
    "camera_info": ("camera_info", "Topic of the camera's calibration."),
    "exposure": ("exposure", "Topic of the exposure times, where exposure_type is set."),
}
# Parameters of the node: argument -> description. Those left empty come from params_file, else the node's defaults.
PARAMETERS = {
    "model": "Network: auto, small, large, a name in models/manifest.yaml, or the path of an ONNX file.",
    "provider": "Where the network runs: auto, cuda, cpu, tensorrt.",
    "image_transport": "Message type on the image topic: raw, compressed.",
    "image_is_rectified": "The image is rectified: true, false.",
    "exposure_s": "Exposure time in seconds, where it is fixed.",
    "exposure_type": "Message type on the exposure topic, such as flir_camera_msgs/msg/ImageMetaData.",
    "exposure_field": "Dotted path of the field with the exposure time; empty: as the driver has it.",
    "exposure_key": "Key of the exposure time, where the field is JSON or diagnostic key-values.",
    "exposure_source": "For DiagnosticArray: name or hardware_id of this camera's status, if several state an exposure.",
    "exposure_unit": "Unit of the exposure topic, where field or key are given: s, ms, us, ns.",
    "stamp_reference": "The moment the driver stamps an image with.",
    "readout_s": "Time from the first to the last row of a rolling shutter.",
    "between_frames": "Measure the way between frames too; false: one image alone, its neighbour for the sign.",
    "autostart": "Configure and activate without a lifecycle manager: true, false.",
    "use_sim_time": "Take the time from /clock: true, false.",
}
# Arguments that are neither: argument -> (default, description).
OTHERS = {
    "namespace": ("", "Namespace of the node; one per camera."),
    "params_file": ("", "YAML file with parameters; config/camera.yaml shows them all."),
    "log_level": ("info", "debug, info, warn or error."),
    "respawn": ("true", "Start the node again when it dies: true, false."),
}


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
    return [
        LifecycleNode(
            package="blur_imu_ros",
            executable="blur_imu_node",
            name="blur_imu",
            namespace=values["namespace"],
            parameters=[source for source in (values["params_file"], given) if source],
            remappings=[(name, values[name]) for name in TOPICS],
            arguments=["--ros-args", "--log-level", values["log_level"]],
            output="screen",
            respawn=values["respawn"].lower() == "true",
            respawn_delay=1.0,
        )
    ]


def _typed(name: str, text: str) -> str | bool | float:
    """Return an argument's text in the type of its parameter."""
    if name in ("image_is_rectified", "between_frames", "autostart", "use_sim_time"):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name}:={text}: give true or false")
        return text.lower() == "true"
    return float(text) if name in ("exposure_s", "readout_s") else text
