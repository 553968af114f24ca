"""What clients do over their connections: rows of the scoreboard."""
