"""From a folder to pixels: finding, labelling, decoding, grouping duplicates and splitting photos.

May import config, errors, progress and `whisker.model`; nothing here trains, calibrates or audits.
"""
