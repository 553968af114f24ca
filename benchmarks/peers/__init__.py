"""Other ways to serve the same network, each as its own documentation shows, at its best setting for a few cores."""
