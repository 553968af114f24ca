"""The worker pool and its processes: from an upload's bytes to its prediction.

Knows no HTTP: may import `whisker.model` and the modules of `whisker.app` below it, never web, uploads or routes.
"""
