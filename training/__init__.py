"""From a folder of photos to a checkpoint: data, training, calibration, audit and report, in `pipeline`'s order.

May import `whisker.model`, never `whisker.app` or a web framework; only `cli` knows the command line.
"""
