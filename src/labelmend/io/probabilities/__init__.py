"""Read saved probabilities on the grid of the labels."""
