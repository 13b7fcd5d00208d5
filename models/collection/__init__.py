"""Many meshes on many machines: a manifest in, rows out. Ray is imported only in `cluster`, pyarrow in `rows`."""
