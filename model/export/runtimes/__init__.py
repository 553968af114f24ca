"""Exported files, opened and run by their own runtimes.

May import `whisker.model.export.manifest` and the runtimes, which are optional: PyTorch only in `torch_program`.
"""
