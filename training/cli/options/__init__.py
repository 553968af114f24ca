"""What users can ask for on the command line, and the configurations that it becomes."""
