"""The audit: what the field's shortcuts are worth, and whether records or splits take any."""
