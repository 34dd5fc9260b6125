"""Judging detectors and data: what separates the classes, and how well."""
