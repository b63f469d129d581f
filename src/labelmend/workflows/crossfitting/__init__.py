"""Predict every case of a data set out of sample: k networks, each trained without the cases it predicts."""
