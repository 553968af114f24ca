"""What the observers of a training are told, whoever they are.

Imports nothing of ours; `progress` tells of events, `watch` and `tracking` observe them.
"""
