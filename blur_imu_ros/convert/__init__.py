"""Turns a published PyTorch checkpoint into an ONNX model of this package; needs the extra `[convert]`."""
