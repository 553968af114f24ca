"""A checkpoint's card: its metrics and provenance, typed, and the sentences that reports and pages say about them.

May import `whisker.model.answers` and `whisker.model.errors` alone: neither PyTorch nor a web framework.
"""
