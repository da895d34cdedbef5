"""Accuracy and speed beside what people would use instead; only `blur_imu benchmark` imports it, extra `[benchmark]`."""
