"""`whisker predict`: many photos, classified here, in processes, on a Ray cluster or by a server.

Of the service, it may import the client alone, and no web framework.
"""
