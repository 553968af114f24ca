"""Calibration and measures of multi-label checkpoints, whose photos have any number of labels.

May import what `whisker.training.calibration` may, and that itself.
"""
