"""Pixels to tensors: the block DCT, the one preprocessing path, and perturbations."""
