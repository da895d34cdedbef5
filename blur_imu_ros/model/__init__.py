"""What the ONNX file behind network.py is: found, checked against the model contract, and run on which processor."""
