"""`unmask train`: configuration, Lightning module and run. Needs the extra `train`."""
