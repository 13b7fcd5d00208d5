"""The decoder trained once for all meshes."""
