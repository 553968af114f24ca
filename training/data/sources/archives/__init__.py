"""Zip and tar archives of folders of photos, which may be damaged or hostile."""
