"""Networks, one readable file each, found through `registry.MODELS`."""
