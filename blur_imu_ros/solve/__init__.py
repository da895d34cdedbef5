"""The steps of velocity.py: from points of flow and depth to a motion, its covariance, and what stands behind each."""
