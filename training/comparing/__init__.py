"""Two checkpoints on the same labelled photos: which is better, where, and whether the photos show it.

May import `whisker.training.evaluation`, calibration, data, config, errors and progress, and `whisker.model`.
"""
