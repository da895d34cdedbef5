"""What recordings and sequence folders have in common: frames, topics, exposure, gyro and truth."""
