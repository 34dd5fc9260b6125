"""Training of the locality-aware autoencoder in two stages, with masks asked for in between."""
