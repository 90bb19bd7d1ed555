"""One trace per request, from its publisher's span on; without OpenTelemetry everything here does nothing.

Only otel.py imports OpenTelemetry. Never puts text, audio or credentials into a span.
"""
