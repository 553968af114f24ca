"""Compatible APIs of other services, with the answers, limits and errors of `/predict`. May import routes.

What a reading worker imports (reading_worker, readers and what they read with) needs no web framework.
"""
