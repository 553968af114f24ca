"""The commands `whisker models ...`. What is slow to import is imported when a command runs; knows no HTTP."""
