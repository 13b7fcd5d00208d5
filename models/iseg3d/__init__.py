"""iSeg3D: point-wise interactive segmentation with a prior learnt from shapes that are put together from CAD primitives."""
