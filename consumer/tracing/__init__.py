"""One trace per request, from its publisher's span on. Only otel.py knows OpenTelemetry; without it everything here does nothing.

Never puts text, audio or credentials into a span.
"""
