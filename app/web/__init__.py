"""What every request meets, whatever its route: its id, access log, security, and errors as problems.

ASGI alone: may import no inference, no uploads and no route.
"""
