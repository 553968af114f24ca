"""Transfer learning: frozen features and a linear layer first, fine-tuning where cross-validation says that it helps.

May import `whisker.training.calibration`, data, pretrained, config, errors and progress, and `whisker.model`.
"""
