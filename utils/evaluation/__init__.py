"""The simulated annotator, human labels and measures."""
