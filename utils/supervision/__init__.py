"""From a teacher to the samples that a decoder is trained on."""
