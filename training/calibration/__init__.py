"""From trained weights to a checkpoint whose verdicts can be trusted: calibration on validation photos, then one test.

May import `whisker.training.data`, config, errors and progress, and `whisker.model`; never fit, audit or report.
"""
