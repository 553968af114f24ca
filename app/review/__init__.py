"""Uploads kept for review: which are worth a label, where they lie, and how they come there after their answer.

May import inference; knows no HTTP.
"""
