"""Play a recording with its clock through the node; takes every argument of camera.launch.py, and these."""

from pathlib import Path

from launch.actions import DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchDescription

OTHERS = {
    "bag": (None, "The recording to play: a ROS 2 or ROS 1 bag, or a sequence folder."),
    "rate": ("1.0", "Speed of the replay."),
}


def generate_launch_description() -> LaunchDescription:
    """Start the node in simulated time, and the player."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in OTHERS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).resolve().parent / "camera.launch.py")),
        launch_arguments={"use_sim_time": "true"}.items(),
    )
    # Publishes /clock and carries large images by itself, and waits until the node listens.
    player = ExecutableInPackage(package="blur_imu_ros", executable="blur_imu")
    play = ExecuteProcess(
        cmd=[
            player,
            "play",
            LaunchConfiguration("bag"),
            "--rate",
            LaunchConfiguration("rate"),
            "--wait",
            "60",
        ],
        output="screen",
    )
    return LaunchDescription([*declared, node, play])
