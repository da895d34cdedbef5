"""The parts of replay.py and evaluate.py: runs over recordings, what they measure, and what they leave behind."""
