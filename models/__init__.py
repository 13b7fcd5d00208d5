"""The systems that answer clicks: `iseg`, `prior` and `iseg3d`, and the one place that opens them."""
