"""`unmask synthesize`: data sets of forgeries with exact masks."""
