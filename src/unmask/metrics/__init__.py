"""Numbers that judge a detector; numpy only. Label 0 is real, 1 fake; a score is P(fake)."""
