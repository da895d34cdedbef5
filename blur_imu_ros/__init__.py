"""Camera velocity from single motion-blurred images, as virtual IMU messages for ROS 2."""
