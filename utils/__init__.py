"""Geometry, rendering, data and output pieces of the pipeline; imports neither `models` nor `SAM_repo`."""
