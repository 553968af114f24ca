"""New classes for a checkpoint: the last layer and the verdicts fitted anew, old photos replaced by drawn features.

May import `whisker.training.transfer`, calibration, data, replay, config, errors and progress, and `whisker.model`.
"""
