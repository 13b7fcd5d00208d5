"""The files and pictures that people get."""
