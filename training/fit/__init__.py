"""From a split of photos to trained weights: the loop, all that a step consists of, and the plan for a time limit.

May import data, config, errors, progress and `whisker.model`; never calibration, audit or report.
"""
