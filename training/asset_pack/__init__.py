"""The asset pack: where furniture, surfaces and pictures come from, how they are split, and how they are read."""
