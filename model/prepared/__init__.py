"""Prepared classifiers: what loading a checkpoint has come to on this machine, kept in files to start from.

May import exported and all below it. Nothing here needs PyTorch, which is what it saves.
"""
