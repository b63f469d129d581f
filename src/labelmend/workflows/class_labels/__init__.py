"""Class labels of feature vectors and small images: classifiers that doubt them. Needs scikit-learn."""

from labelmend.workflows.class_labels.baselines import BaselineClassifier, NetworkClassifier
from labelmend.workflows.class_labels.cores import SampleSieve, sieve_from_probs

__all__ = ["BaselineClassifier", "NetworkClassifier", "SampleSieve", "sieve_from_probs"]
