"""Find what is wrong with the labels of a data set."""
