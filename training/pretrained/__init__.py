"""Pretrained weights to start from: where they come from, whose names they have, and how a network takes them over.

May import config, errors and progress, and `whisker.model`.
"""
