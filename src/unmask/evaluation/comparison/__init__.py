"""Score files of many trained models to tables: who is better, by how much, and how surely."""
