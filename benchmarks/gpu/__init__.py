"""What an NVIDIA GPU makes of a checkpoint: its passes by precision and batch size, its answers, and the service.

`python -m benchmarks.gpu PHOTOS` runs it; docs/how-to/gpu.md explains what it prints.
"""
