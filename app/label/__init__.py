"""Labelling the photos kept for review: a page for people with a keyboard, and the routes that it uses.

May import page, routes and review. Exists only where `WHISKER_REVIEW` is set.
"""
