"""Fine-tuning: the last parts of a network learn on, as far as the time that is left allows."""
