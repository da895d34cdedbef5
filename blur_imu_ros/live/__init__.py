"""The parts of node.py: from topics to frames, from frames to published estimates, settings and diagnostics."""
