"""Versions of a model that are swapped again and again under load: nothing may be lost, mixed or slow.

`python -m benchmarks.swaps PHOTOS`; docs/how-to/models.md says what swapping promises.
"""
