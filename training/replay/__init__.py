"""Training photos without the photos: statistics of their features, and features that are drawn from these.

May import `whisker.model` alone.
"""
