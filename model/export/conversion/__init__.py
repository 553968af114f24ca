"""From a checkpoint to files of other runtimes: one PyTorch module, and a converter for each format.

May import `whisker.model.export.manifest`, and all of `whisker.model` below the exports.
"""
