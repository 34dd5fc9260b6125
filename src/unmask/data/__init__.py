"""Data sets: an index of pictures, their face crops, and batches for training."""
