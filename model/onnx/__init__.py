"""ONNX graphs of other programs, as bytes: what they need around them, and what is refused before they are read.

May import `whisker.model.errors`, `plain_text` and nothing else of Whisker. Nothing here needs the package `onnx`.
"""
