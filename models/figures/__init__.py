"""Figures and tables of both papers: their meshes, what is measured on them, and the page that compares."""
