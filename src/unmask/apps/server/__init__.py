"""The HTTP service, its web app, the workers behind it and the store they share."""
