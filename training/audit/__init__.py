"""Faults of a folder of photos: unusable files, duplicates, and labels that are probably wrong.

May import calibration, data, config, errors, progress and `whisker.model`; never report, pipeline or cli.
"""
