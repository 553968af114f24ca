"""An upload from its connection to its bytes: slots, limits, forms, and the deadline of its answer.

ASGI alone: may import no model, no inference and no route.
"""
