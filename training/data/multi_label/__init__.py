"""Splits of multi-label photos, stratified by every label.

May import what `whisker.training.data` may, and `whisker.training.data.split`.
"""
