"""The service on Ray Serve: replicas of it, and what Ray's proxies do in front of them.

Only `application` and `replica` import Ray. May import the application, never `whisker.app.server`.
"""
