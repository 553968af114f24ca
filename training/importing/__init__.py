"""Classifiers of other programs, in ONNX: turned into checkpoints, compared with ONNX Runtime, and calibrated.

May import what a training imports, except trainings themselves.
"""
