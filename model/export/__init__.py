"""Exports: a checkpoint as a file of another runtime, and the proof that it answers the same.

Making files is in `conversion`, running them in `runtimes`. May import all of `whisker.model`; what verifies ONNX and
OpenVINO files needs no PyTorch.
"""
