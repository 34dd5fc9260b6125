"""What people and programs use: the command line, the service and its web app, reports and benchmarks."""
