"""From a folder of photos to a checkpoint: data, training, calibration, evaluation and report."""
