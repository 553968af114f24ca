"""Screenshots of every state of the service's pages, on phones and wide screens, light and dark.

Checkpoints and photos are made up; one after the other is served, and a browser goes through the states. A state fails
if it is wider than its screen, or if axe-core finds a barrier in it.
"""
