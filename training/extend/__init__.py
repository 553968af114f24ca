"""New classes for a checkpoint: a new last layer and new verdicts, with statistics in place of the old photos.

May import `whisker.training.transfer`, calibration, data, replay, config, errors and progress, and `whisker.model`.
"""
