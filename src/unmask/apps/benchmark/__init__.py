"""The comparison: every model of a table trained and tested alike."""
