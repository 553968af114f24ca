"""From a network's outputs to answers: scores, verdicts, heat maps, and the profile of many answers.

NumPy alone, no PyTorch: may import `whisker.model.cores` and `errors`.
"""
