"""What people and programs use: the command line, the service with its web app, and reports."""
