"""The parts of network.py: what it is shown, and its further looks along one turn of the camera."""
