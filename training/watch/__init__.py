"""A training as a page while it runs, `whisker train --watch PORT`, served by the standard library's server.

May import events, errors, progress and the templates of the report; only the CLI uses it.
"""
