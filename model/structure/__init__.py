"""A picture file's structure, read before any pixel is decoded: what decoding costs, and which bytes it needs.

Some files take seconds to decode though they are small: a JPEG may ask for its picture to be gone through hundreds of
times, and Pillow reads metadata in Python, part by part. So each format's module walks through the file's parts, counts
them, estimates the time, and leaves out what no pixel depends on.
"""
