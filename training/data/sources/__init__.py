"""Labelled photos that do not come as a folder: each source is unpacked once, and is a folder from then on.

May import the rest of `whisker.training.data`; nothing there knows of sources.
"""
