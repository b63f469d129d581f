"""Correct labels from saved probabilities."""
