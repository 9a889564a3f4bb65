"""The synthetic data set with known ground truth: its generator, its truth, its published forms."""
