"""The pages for people: ask about photos, and read about the model."""
