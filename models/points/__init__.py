"""Meshes as points, and the network that embeds them: trained for iSeg3D, read by the prior, too."""
