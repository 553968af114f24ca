"""What people read about a checkpoint, in its report and on its page."""
