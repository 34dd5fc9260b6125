"""Many inputs, one result each: which files, in what order, and what was done before."""
