"""From cameras to pixels and back to the vertices."""
