"""What uploads do: rows of the scoreboard."""
