"""Forgeries with exact masks, made from real faces: (face, landmarks, rng) -> (fake, mask)."""
