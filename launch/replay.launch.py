"""Play a recording with its clock through the node; takes every argument of camera.launch.py, and these."""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription

HERE = Path(__file__).resolve().parent
OTHERS = {
    "bag": (None, "The recording to play: a ROS 2 bag."),
    "rate": ("1.0", "Speed of the replay."),
}


def generate_launch_description() -> LaunchDescription:
    """Start the node in simulated time, and the player with the transport that carries large images."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in OTHERS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(HERE / "camera.launch.py")),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    player = ExecuteProcess(
        cmd=[
            "ros2",
            "bag",
            "play",
            LaunchConfiguration("bag"),
            "--clock",
            "--rate",
            LaunchConfiguration("rate"),
        ],
        additional_env={
            "FASTRTPS_DEFAULT_PROFILES_FILE": str(HERE.parent / "config" / "fastdds_large_images.xml")
        },
        output="screen",
    )
    return LaunchDescription([*declared, node, player])
