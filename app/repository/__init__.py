"""The folder of models and their versions: what lies in it, what of it is served, and how canaries are judged.

May import inference; knows no HTTP.
"""
