"""Accuracy and speed beside what people would use instead; for `blur_imu benchmark` alone, extra `[benchmark]`."""
