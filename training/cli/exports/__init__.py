"""The commands `whisker export` and `whisker verify`, and what they share.

May import what `whisker.training.cli` may; without `--photos`, `verify` needs no PyTorch for ONNX and OpenVINO files.
"""
