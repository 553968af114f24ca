"""How good a checkpoint is on a folder of labelled photos, through the code that serves.

May import `whisker.training.calibration`, data, config, errors and progress, and `whisker.model`.
"""
