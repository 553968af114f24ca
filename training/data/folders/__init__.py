"""The photos of a folder and their labels, found and surveyed before any is decoded for training."""
