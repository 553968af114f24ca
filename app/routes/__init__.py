"""The routes of the service's own API, and the state that they share.

May import review, and inference, uploads and web, which do not know each other.
"""
