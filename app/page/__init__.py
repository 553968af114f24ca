"""The pages for people, at `/` and `/card`: templates, one script, one style sheet.

May import routes, and whatever routes may import.
"""
