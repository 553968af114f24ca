"""Imported ONNX graphs in OpenVINO, which reads them itself: completed for pictures, and taken apart at their end.

May import `whisker.model.onnx`, answers and errors. Only who has OpenVINO imports these modules; they need no PyTorch.
"""
