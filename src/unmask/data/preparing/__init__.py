"""`unmask prepare`: the faces of a data set, cut out once."""
