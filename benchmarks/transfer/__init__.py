"""`whisker train` on a small folder, beside the fine-tuning that other libraries document: same photos, weights, time.

The other libraries are not installed: their recipes are written anew, from their documentation, for our network.
"""
