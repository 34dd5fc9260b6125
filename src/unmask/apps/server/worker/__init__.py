"""The worker: takes jobs from the store, decodes and judges them, and makes evidence."""
