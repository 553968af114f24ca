"""The forward pass on the device at hand: plain PyTorch, folded, CUDA graphs or OpenVINO, and the choice among them.

May import checkpoint and all below it; base and openvino_engine need no PyTorch.
"""
