"""The mesh, distances on it and samples of it."""
