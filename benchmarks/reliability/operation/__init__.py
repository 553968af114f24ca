"""What happens to a service in operation, at its start and at its end: rows of the scoreboard."""
