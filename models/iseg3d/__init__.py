"""iSeg3D: point-wise interactive segmentation with a prior learnt from shapes put together from CAD primitives."""
