"""Speed and accuracy, side by side with peers, for anybody to measure again; not part of the installed package."""
