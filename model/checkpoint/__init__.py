"""The checkpoint file: what it holds, how it is written, read and checked.

May import network, preprocessing and answers; engines and classifiers are above it.
"""
