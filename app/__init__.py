"""The HTTP service, its client, and `whisker predict`.

May import `whisker.model`, never `whisker.training`. Which room may import which is a contract in pyproject.toml.
"""
