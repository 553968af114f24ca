"""The report of a checkpoint: one HTML page with its figures, plots and photos, and the step that publishes both files.

May import audit, calibration and data of `whisker.training`, and `whisker.model`; only the pipeline and the CLI use it.
"""
