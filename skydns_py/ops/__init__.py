"""What an operator looks at: health, readiness and metrics."""
