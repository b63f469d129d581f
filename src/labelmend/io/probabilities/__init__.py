"""Saved probabilities, read onto the grid of the labels."""
