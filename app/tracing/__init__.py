"""OpenTelemetry traces: a span for each request, and spans within it for its upload and each picture's stages.

May import web and inference; imported by routes, which report what became of a picture, and by main. OpenTelemetry is
imported only where traces are wanted.
"""
