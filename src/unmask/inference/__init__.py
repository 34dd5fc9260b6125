"""From decoded media to results: the detector, its decision, and the evidence for it."""
