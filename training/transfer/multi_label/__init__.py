"""Transfers whose photos have any number of labels: a logistic regression for each label, on frozen features.

May import what `whisker.training.transfer` may, and that itself.
"""
