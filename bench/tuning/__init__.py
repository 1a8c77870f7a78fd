"""Search of parameters, without a test label."""
